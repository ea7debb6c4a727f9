"""Descriptors of objects that refer to each other: they are closed when the collector runs."""

import os

from _work import benign


class Reader:
    """Knows itself, and closes what it has opened."""

    def __init__(self):
        self.me, self.descriptor = self, os.open(os.devnull, os.O_RDONLY)

    def __del__(self):
        os.close(self.descriptor)


def step(_number, run):
    for _ in range(run.rng.randrange(2 * run.params.mean)):
        Reader()


scenario = benign(step, mean=1, workloads=[{"mean": 1}, {"mean": 8}])
