"""Timers of the kernel, as descriptors, that are armed and never closed."""

import ctypes
import os
import struct

from _work import pair

libc = ctypes.CDLL(None, use_errno=True)
in_an_hour = struct.pack("4l", 0, 0, 3600, 0)


def acquire(_step, _size):
    timer = libc.timerfd_create(1, os.O_CLOEXEC | os.O_NONBLOCK)
    libc.timerfd_settime(timer, 0, in_an_hour, None)
    return timer


scenario = pair(
    acquire,
    os.close,
    leaks="fds",
    units=lambda _: {"fds": 1},
    workloads=[{}, {"pattern": "17th", "noise": 200_000}],
)
