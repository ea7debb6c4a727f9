"""A pool that starts threads as chance asks for them, up to its size, and keeps them."""

import functools
import threading
from concurrent.futures import ThreadPoolExecutor, wait

from _work import benign


@functools.cache
def pool_of(size):
    return ThreadPoolExecutor(size), threading.Semaphore(0)


def step(_number, run):
    size = run.params.size
    pool, free = pool_of(size)
    needed = min(size, 1 + int(run.rng.expovariate(run.params.pace / size)))
    work = [pool.submit(free.acquire) for _ in range(needed)]  # all at once
    free.release(needed)
    wait(work)


scenario = benign(
    step, size=12, pace=3, workloads=[{"size": 12, "pace": 3}, {"size": 40, "pace": 4}]
)
