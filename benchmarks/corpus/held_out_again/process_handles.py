"""Handles of processes, opened to see whether they are alive, that are not closed."""

import os
import select

from _work import pair


def acquire(_step, _size):
    handle = os.pidfd_open(os.getpid())
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    poll.poll(0)
    return handle


scenario = pair(
    acquire,
    os.close,
    leaks="fds",
    units=lambda _: {"fds": 1},
    workloads=[{"pattern": "late"}, {"pattern": "17th"}],
)
