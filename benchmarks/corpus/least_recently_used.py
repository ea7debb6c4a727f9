"""A bounded cache of the answers that were asked for last."""

import functools

from _work import benign


@functools.cache
def cache_of(size):
    return functools.lru_cache(maxsize=size)(lambda key: bytes(200 + key % 400))


def step(_number, run):
    answer = cache_of(run.params.size)
    for _ in range(4):
        answer(run.rng.randrange(8 * run.params.size))


scenario = benign(step, size=100, workloads=[{"size": 100}, {"size": 400}, {"size": 1500}])
