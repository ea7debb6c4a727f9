"""A table with default values, asked for what is not in it: the question makes an entry."""

from collections import defaultdict

from _work import pair

orders = defaultdict(list)


def acquire(step, size):
    customer = f"customer {step}-{len(orders)} {'x' * size}"
    return customer if not orders[customer] else None


scenario = pair(
    acquire,
    orders.pop,
    leaks="heap",
    natural=200,
    workloads=[
        {"rate": 400.0, "noise": 50_000},
        {"rate": 16.0},
        {"rate": 1500.0, "pattern": "100th"},
    ],
)
