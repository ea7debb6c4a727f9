"""Permits of a limiter that are taken and not given back on the failing path."""

import threading

from _work import pair

limiter = threading.Semaphore(100_000)

scenario = pair(
    lambda *_: limiter.acquire(),
    lambda _: limiter.release(),
    leaks="taken",
    units=lambda _: {"taken": 1},
    workloads=[{}, {"pattern": "late"}],
)


@scenario.gauge("permits")
def taken(_world):
    """Permits that are taken."""
    return 100_000 - limiter._value
