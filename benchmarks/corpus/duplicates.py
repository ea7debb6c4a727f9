"""Descriptors that are duplicated for a child and not closed after it."""

import os

from _work import pair

scenario = pair(
    lambda *_: os.dup(1),
    os.close,
    leaks="fds",
    units=lambda _: {"fds": 1},
    workloads=[{"pattern": "17th"}, {}],
)
