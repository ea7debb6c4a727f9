"""Buffers of all sizes that are taken and given back."""

from _work import benign

slots = [b""] * 16


def step(number, run):
    slots[number % 16] = bytes(run.rng.randrange(run.params.largest))


scenario = benign(
    step, largest=1000, workloads=[{"largest": 1000}, {"largest": 100_000}, {"largest": 5_000_000}]
)
