"""A pool that grows and shrinks with chance, between bounds."""

import os

from _work import benign

pool = [os.open(os.devnull, os.O_RDONLY) for _ in range(30)]


def step(_number, run):
    if run.rng.random() < 0.5 and len(pool) < 60:
        pool.append(os.open(os.devnull, os.O_RDONLY))
    elif len(pool) > 1:
        os.close(pool.pop())


scenario = benign(step)
