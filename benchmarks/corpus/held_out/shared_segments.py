"""Segments of shared memory that are neither closed nor removed."""

import mmap
from multiprocessing.shared_memory import SharedMemory

from _work import pair


def acquire(_step, size):
    segment = SharedMemory(create=True, size=max(size, mmap.PAGESIZE))
    for place in range(0, segment.size, mmap.PAGESIZE):
        segment.buf[place] = 1
    return segment


def release(segment):
    segment.close()
    segment.unlink()


scenario = pair(
    acquire,
    release,
    leaks="fds",
    units=lambda _: {"fds": 2},
    workloads=[{"pattern": "100th"}, {"rate": 16_384.0, "pattern": "17th"}],
)
