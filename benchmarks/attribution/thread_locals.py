"""What a worker thread keeps in its locals, for as long as the pool lives."""

import threading
from concurrent.futures import ThreadPoolExecutor

from _beside import beside

local = threading.local()
pool = ThreadPoolExecutor(1)


def work(size):
    local.__dict__.setdefault("kept", []).append(bytes(size))  # leak


def leak(step, size):
    pool.submit(work, size).result()


scenario = beside(leak)
