"""Copies of the standard output, made to put it back later, that are not closed."""

import os

from _work import pair


def acquire(_step, _size):
    saved = os.dup(1)
    os.dup2(saved, 1)
    return saved


scenario = pair(
    acquire,
    os.close,
    leaks="fds",
    units=lambda _: {"fds": 1},
    workloads=[{}, {"pattern": "stairs", "noise": 10_000}],
)
