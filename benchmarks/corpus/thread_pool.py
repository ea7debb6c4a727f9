"""A pool that starts a thread for each piece of work until it is full."""

import functools
import threading
from concurrent.futures import ThreadPoolExecutor

from _work import benign


@functools.cache
def pool_of(size):
    return ThreadPoolExecutor(size), threading.Semaphore(0)


def step(number, run):
    pool, free = pool_of(run.params.size)
    if number < run.params.size:  # as many are at work at once as ever will be
        for _ in range(number + 1):
            pool.submit(free.acquire)
        free.release(number + 1)
    pool.submit(int).result()


scenario = benign(step, size=8, workloads=[{"size": 8}, {"size": 40}])
