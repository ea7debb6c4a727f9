"""A ring of messages in mapped memory, whose pages are touched the first time around."""

import functools
import mmap

from _work import benign


@functools.cache
def ring_of(size):
    return mmap.mmap(-1, size)


def step(number, run):
    ring = ring_of(run.params.size)
    start = number * run.params.message % run.params.size
    ring[start : start + run.params.message] = run.rng.randbytes(16) * (run.params.message // 16)


scenario = benign(
    step,
    size=1 << 22,
    message=1 << 16,
    workloads=[{}, {"size": 1 << 24, "message": 1 << 17}, {"size": 1 << 20, "message": 1 << 13}],
)
