"""Caches that drop what is used least, asked for a few things often and for many rarely."""

import cachetools
from _work import benign

pages = {}


def step(_, run):
    kind = getattr(cachetools, run.params.kind)
    cache = pages.setdefault(0, kind(run.params.size))
    for _ in range(8):
        key = int(run.rng.paretovariate(0.6))
        if cache.get(key) is None:
            cache[key] = bytes(run.rng.randrange(2 * run.params.mean))


scenario = benign(
    step,
    kind="LFUCache",
    size=64,
    mean=1000,
    workloads=[
        {"kind": "LFUCache", "size": 64},
        {"kind": "LRUCache", "size": 100, "mean": 200},
        {"kind": "FIFOCache", "size": 12, "mean": 20_000},
    ],
)
