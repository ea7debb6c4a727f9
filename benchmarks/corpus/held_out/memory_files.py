"""Files in memory that are filled, read and not closed."""

import os

from _work import pair


def acquire(_step, size):
    descriptor = os.memfd_create("answer")
    os.write(descriptor, bytes(max(size, 100)))
    os.pread(descriptor, 100, 0)
    return descriptor


scenario = pair(
    acquire,
    os.close,
    leaks="fds",
    units=lambda _: {"fds": 1},
    workloads=[
        {"pattern": "stairs"},
        {"pattern": "late"},
        {"rate": 5000.0, "pattern": "17th", "noise": 100_000},
    ],
)
