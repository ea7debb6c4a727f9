"""A cache without a bound, keyed by request."""

from _work import pair

cache = {}


def acquire(step, size):
    cache[step, len(cache)] = bytes(size)
    return step, len(cache) - 1


scenario = pair(
    acquire,
    lambda key: cache.pop(key),
    leaks="heap",
    natural=250,
    workloads=[
        {"rate": 250.0, "beside": 1.0},
        {"rate": 1000.0, "pattern": "stairs"},
        {"rate": 10_000.0, "noise": 100_000},
    ],
)
