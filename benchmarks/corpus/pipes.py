"""Pipes of which one end is left open."""

import os

from _work import pair


def acquire(_step, _size):
    reading, writing = os.pipe()
    os.close(writing)
    return reading


scenario = pair(
    acquire, os.close, leaks="fds", units=lambda _: {"fds": 1}, workloads=[{}, {"pattern": "100th"}]
)
