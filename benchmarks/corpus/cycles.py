"""Objects that refer to each other: they wait until the collector runs."""

import gc

from _work import benign


class Node:
    """Knows itself."""

    def __init__(self, size):
        self.me, self.body = self, bytes(size)


def step(_number, run):
    if run.params.threshold:
        gc.set_threshold(run.params.threshold)
    for _ in range(run.params.count):
        Node(1000)


scenario = benign(
    step,
    count=20,
    threshold=0,
    workloads=[{"count": 20}, {"count": 300}, {"count": 30, "threshold": 100_000}],
)
