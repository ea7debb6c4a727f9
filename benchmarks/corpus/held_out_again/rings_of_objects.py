"""Rings of objects, in random number, that wait for the collector of cycles."""

from _work import benign


class Node:
    def __init__(self, size):
        self.payload, self.after = bytes(size), None


def step(_, run):
    for _ in range(int(run.rng.lognormvariate(0, 1) * run.params.rings)):
        ring = [Node(run.rng.randrange(run.params.size)) for _ in range(3)]
        for index, node in enumerate(ring):
            node.after = ring[index - 1]


scenario = benign(
    step,
    rings=4,
    size=400,
    workloads=[{"rings": 4}, {"rings": 40, "size": 50}, {"rings": 2, "size": 60_000}],
)
