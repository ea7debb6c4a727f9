"""A history that belongs to a thread, and the thread lives as long as its pool."""

import threading
from concurrent.futures import ThreadPoolExecutor

from _work import pair

pool, own = ThreadPoolExecutor(1), threading.local()


def remember(step, size):
    own.__dict__.setdefault("history", []).append((step, bytes(size + 2)))


scenario = pair(
    lambda step, size: pool.submit(remember, step, size).result(),
    lambda _: pool.submit(lambda: own.history.pop()).result(),
    leaks="heap",
    natural=165,
    workloads=[{"rate": 165.0}, {"rate": 3000.0, "noise": 100_000}],
)
