"""Queues between processes, with the thread that feeds them, that are not closed."""

import multiprocessing

from _work import pair


def acquire(step, _size):
    queue = multiprocessing.Queue()
    queue.put(step)
    queue.get()
    return queue


def release(queue):
    queue.close()
    queue.join_thread()


scenario = pair(
    acquire,
    release,
    leaks="threads",
    units=lambda _: {"threads": 1, "fds": 2},
    workloads=[{"pattern": "17th"}, {"pattern": "100th"}],
)
