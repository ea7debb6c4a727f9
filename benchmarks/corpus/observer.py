"""A histogram of durations: all its buckets are there after a while."""

import time

from _work import benign

buckets = {}


def step(_number, run):
    began = time.perf_counter()
    sum(range(run.rng.randrange(2000)))
    bucket = round((time.perf_counter() - began) * 1e6)
    buckets[min(bucket, 300)] = buckets.get(min(bucket, 300), 0) + 1


scenario = benign(step)
