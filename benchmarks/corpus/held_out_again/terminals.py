"""Terminals that are opened for a command's output, both ends of which stay open."""

import os
import pty

from _work import pair


def acquire(_step, _size):
    outer, inner = pty.openpty()
    os.write(inner, b"done\n")
    os.read(outer, 64)
    return outer, inner


def release(ends):
    for end in ends:
        os.close(end)


scenario = pair(
    acquire,
    release,
    leaks="fds",
    units=lambda _: {"fds": 2},
    workloads=[{"pattern": "17th"}, {"pattern": "100th"}],
)
