"""A count of requests in flight that is not taken back when one fails."""

from _work import pair

in_flight = [0]


def acquire(_step, _size):
    in_flight[0] += 1


def release(_):
    in_flight[0] -= 1


scenario = pair(
    acquire,
    release,
    leaks="active",
    units=lambda _: {"active": 1},
    workloads=[{}, {"pattern": "17th"}, {"pattern": "100th"}],
)


@scenario.gauge("requests")
def active(_world):
    """Requests in flight."""
    return in_flight[0]
