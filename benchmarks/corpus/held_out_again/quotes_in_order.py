"""Quotes in the order of their prices, from which the old ones are not removed."""

from _work import pair
from sortedcontainers import SortedDict

quotes = SortedDict()


def acquire(step, size):
    price = step * 7919 % 10_007 / 100
    quotes[price] = bytes(size + 2)
    return price


scenario = pair(
    acquire,
    quotes.pop,
    leaks="heap",
    natural=145,
    workloads=[
        {"rate": 16.0},
        {"rate": 220.0, "noise": 2000},
        {"rate": 8000.0, "pattern": "17th"},
    ],
)
