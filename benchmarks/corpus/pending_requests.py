"""Requests that wait for an answer by their number, and never get one."""

from concurrent.futures import Future

from _work import pair

pending = {}


def acquire(step, _size):
    number = (step, len(pending))
    pending[number] = Future()
    return number


scenario = pair(
    acquire,
    pending.pop,
    leaks="waiting",
    natural=1200,
    units=lambda _: {"waiting": 1},
    workloads=[{"rate": 1200.0}, {"rate": 100.0}],
)


@scenario.gauge("requests")
def waiting(_world):
    """Requests that wait."""
    return len(pending)
