"""Generators that are suspended for ever."""

from _work import pair


def rows(step, size):
    body = bytes(size)
    yield step
    yield body


def acquire(step, size):
    rest = rows(step, size)
    next(rest)
    return rest


scenario = pair(
    acquire,
    leaks="objects",
    natural=350,
    workloads=[{"rate": 350.0}, {"rate": 5000.0, "pattern": "17th"}],
)
