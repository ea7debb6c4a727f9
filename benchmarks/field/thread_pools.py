"""A pool of threads is made per request and left to the collector.

Source: python/cpython#78353
Environment: plain
Kind: clean
Truth: TODO
"""

from multiprocessing.pool import ThreadPool


def square(number):
    return number * number


def step(i):
    return sum(ThreadPool(2).map(square, range(4)))
