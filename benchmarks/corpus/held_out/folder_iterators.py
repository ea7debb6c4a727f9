"""Folders of which only the first entry is read: the iterators stay open."""

import functools
import os
import pathlib
import tempfile

from _work import pair


@functools.cache
def folder():
    made = pathlib.Path(tempfile.mkdtemp())
    for name in "abc":
        (made / name).touch()
    return str(made)


def acquire(_step, _size):
    entries = os.scandir(folder())
    next(entries)
    return entries


scenario = pair(
    acquire,
    lambda entries: entries.close(),
    leaks="fds",
    units=lambda _: {"fds": 1},
    workloads=[{}, {"pattern": "17th"}],
)
