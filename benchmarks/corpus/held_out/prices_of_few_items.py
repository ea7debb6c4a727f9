"""A table of computed prices: of items there are few, and each is asked for by chance."""

import functools

from _work import benign


@functools.cache
def price(item, size):
    return {"item": item, "steps": [item * rate for rate in range(size)]}


def step(_number, run):
    for _ in range(5):
        price(run.rng.randrange(run.params.items), run.params.size)


scenario = benign(
    step,
    items=80,
    size=20,
    workloads=[{"items": 80}, {"items": 130, "size": 5}, {"items": 100, "size": 2000}],
)
