"""Anonymous maps that are written to and never closed."""

import mmap

from _work import pair


def acquire(_step, size):
    pages = mmap.mmap(-1, max(size, mmap.PAGESIZE))
    pages[:: mmap.PAGESIZE] = b"x" * len(range(0, len(pages), mmap.PAGESIZE))
    return pages


scenario = pair(
    acquire,
    lambda pages: pages.close(),
    leaks="rss",
    natural=1,
    workloads=[
        {"rate": 4096.0},
        {"rate": 65_536.0},
        {"rate": 16_384.0, "pattern": "17th"},
        {"rate": 262_144.0, "pattern": "late"},
    ],
)
