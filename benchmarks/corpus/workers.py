"""Threads that are started, do their work and end."""

import threading

from _work import benign


def step(_number, run):
    threads = [threading.Thread(target=bytes, args=(100_000,)) for _ in range(run.params.count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


scenario = benign(step, count=1, workloads=[{"count": 1}, {"count": 6}])
