"""Locks of files, one for each account, whose file stays open."""

import fcntl
import itertools
import os
import tempfile

from _work import pair

folder, accounts = tempfile.mkdtemp(), itertools.count()


def acquire(_step, _size):
    path = f"{folder}/{next(accounts)}.lock"
    lock = os.open(path, os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.unlink(path)
    return lock


def release(lock):
    fcntl.flock(lock, fcntl.LOCK_UN)
    os.close(lock)


scenario = pair(
    acquire,
    release,
    leaks="fds",
    units=lambda _: {"fds": 1},
    workloads=[{}, {"pattern": "late", "noise": 100_000}],
)
