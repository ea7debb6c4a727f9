"""Handles of folders that are opened to look up what is below them, and kept."""

import os

from _work import pair


def acquire(_step, _size):
    folder = os.open("/dev", os.O_PATH | os.O_DIRECTORY)
    os.stat("null", dir_fd=folder)
    return folder


scenario = pair(
    acquire,
    os.close,
    leaks="fds",
    units=lambda _: {"fds": 1},
    workloads=[{"pattern": "100th"}, {"noise": 30_000, "beside": 2.0, "rate": 100.0}],
)
