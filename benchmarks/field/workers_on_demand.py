"""A pool starts a worker per overlapping request until it has forty.

Source: tornadoweb/tornado#2168
Environment: plain
Kind: bounded
Full: 40
Truth: grows until about step 40, and no further until step 12,000
"""

import time
from concurrent.futures import ThreadPoolExecutor

pool = ThreadPoolExecutor(40)


def step(i):
    pool.submit(time.sleep, 0.02)
    return pool.submit(abs, -i).result()
