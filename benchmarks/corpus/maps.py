"""Maps of files' size that are opened and closed."""

import mmap

from _work import benign


def step(_number, run):
    with mmap.mmap(-1, run.rng.randrange(1, 300) * mmap.PAGESIZE) as pages:
        pages[:: mmap.PAGESIZE] = b"x" * (len(pages) // mmap.PAGESIZE)


scenario = benign(step)
