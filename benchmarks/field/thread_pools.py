"""A pool of threads is made per request and left to the collector.

Source: python/cpython#78353
Environment: plain
Kind: clean
Truth: no count grows from step 2,690 to 5,398
"""

from multiprocessing.pool import ThreadPool


def square(number):
    return number * number


def step(i):
    return sum(ThreadPool(2).map(square, range(4)))
