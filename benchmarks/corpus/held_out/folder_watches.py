"""Watches of folders that are not taken off when nobody asks any more."""

import ctypes
import functools
import os
import pathlib
import tempfile

from _work import pair

libc = ctypes.CDLL(None)


@functools.cache
def watcher():
    return libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)


def acquire(_step, _size):
    return libc.inotify_add_watch(watcher(), tempfile.mkdtemp().encode(), 0x100)  # IN_CREATE


def release(watch):
    libc.inotify_rm_watch(watcher(), watch)
    os.read(watcher(), 100)  # it is told that the watch is gone


scenario = pair(
    acquire,
    release,
    leaks="watches",
    units=lambda _: {"watches": 1},
    workloads=[{}, {"pattern": "stairs"}, {"pattern": "17th", "noise": 50_000}],
)


@scenario.gauge("watches")
def watches(_world):
    """Watches of the process."""
    return pathlib.Path(f"/proc/self/fdinfo/{watcher()}").read_text().count("inotify wd:")
