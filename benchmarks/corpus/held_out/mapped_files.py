"""Files that are mapped and not unmapped: a mapping keeps a descriptor of its own."""

import mmap
import tempfile

from _work import pair


def acquire(_step, size):
    with tempfile.TemporaryFile() as file:
        file.truncate(max(size, mmap.PAGESIZE))
        pages = mmap.mmap(file.fileno(), 0)
    pages[:: mmap.PAGESIZE] = b"x" * len(range(0, len(pages), mmap.PAGESIZE))
    return pages


scenario = pair(
    acquire,
    lambda pages: pages.close(),
    leaks="fds",
    units=lambda _: {"fds": 1},
    workloads=[
        {"rate": 4096.0},
        {"rate": 40_000.0, "pattern": "17th"},
        {"rate": 8192.0, "pattern": "late", "beside": 2.0, "noise": 20_000},
    ],
)
