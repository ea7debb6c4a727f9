"""Windows of a file that are mapped one after the other: the last ones stay mapped."""

import functools
import mmap
import os
from collections import deque

from _work import benign

TOTAL = 64 * 2**20
windows = deque()


@functools.cache
def source(folder):
    descriptor = os.open(folder / "source", os.O_RDWR | os.O_CREAT)
    os.truncate(descriptor, TOTAL)
    return descriptor


def step(number, run):
    size, count = run.params.pages * mmap.PAGESIZE, run.params.count
    place = number * size % TOTAL
    windows.append(mmap.mmap(source(run.workdir), size, prot=mmap.PROT_READ, offset=place))
    sum(windows[-1][:: mmap.PAGESIZE])
    most = count - run.rng.randrange(count // 4)  # memory is short at times
    while len(windows) > most:
        windows.popleft().close()


scenario = benign(
    step, count=12, pages=16, workloads=[{"count": 12, "pages": 16}, {"count": 90, "pages": 64}]
)
