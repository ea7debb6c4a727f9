"""Exceptions that are kept, with the frames of all that they went through."""

from _work import pair


def acquire(step, size):
    body = bytes(size)
    try:
        raise ValueError(step, body[:1])
    except ValueError as error:
        return error


scenario = pair(
    acquire,
    leaks="objects",
    natural=900,
    workloads=[{"rate": 900.0}, {"rate": 10_000.0, "noise": 20_000}],
)
