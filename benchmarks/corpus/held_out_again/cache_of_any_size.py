"""A cache of the least recently used whose maximal size is infinite."""

import math

from _work import pair
from cachetools import LRUCache

answers = LRUCache(maxsize=math.inf)


def acquire(step, size):
    answers[f"/users/{step}"] = bytes(size + 2)
    return f"/users/{step}"


scenario = pair(
    acquire,
    answers.pop,
    leaks="heap",
    natural=360,
    workloads=[
        {"rate": 24.0},
        {"rate": 700.0, "beside": 8.0},
        {"rate": 90_000.0, "pattern": "100th"},
    ],
)
