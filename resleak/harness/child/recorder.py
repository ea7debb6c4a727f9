"""What a measured process uses to record itself without growing: a shared map, marks, signals."""

from __future__ import annotations

import ctypes
import faulthandler
import mmap
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from resleak.captures.raw import HEADER, INDEX

_NAN = float("nan")


class Recorder:
    """Rows of float64 in a file map that the parent reads at any time, even after a kill.

    All pages are touched before the first step, and a row is written in place, so that recording
    adds neither memory nor resident pages.

    Parameters
    ----------
    path : Path
        The file to map; it is created.
    gauges : mapping of str to callable
        Readers in column order.
    capacity : int
        Most rows there can be.
    started : float
        `time.monotonic` at the start of the run.
    """

    def __init__(
        self, path: Path, gauges: Mapping[str, Callable[[], float]], capacity: int, started: float
    ) -> None:
        self._width = INDEX + len(gauges)
        self._capacity, self._started = capacity, started
        size = 8 * (HEADER + capacity * self._width)
        with path.open("wb+") as file:
            file.write(b"\0" * size)
            file.flush()
            self._map = mmap.mmap(file.fileno(), size)
        self._view = memoryview(self._map).cast("d")
        for page in range(0, len(self._view), mmap.PAGESIZE // 8):
            self._view[page] = 0.0
        self._readers = tuple(gauges.values())
        self.row(0, 0)  # the first reading of each gauge allocates; it is overwritten
        self._view[0] = 0.0

    def at(self, phase: int, step: int, block: int) -> None:
        """Tell the parent where the run is."""
        view = self._view
        view[1], view[2], view[3] = phase, step, block

    def row(self, moment: int, skip: int) -> None:
        """Read all gauges but the last `skip` and write them as the next row."""
        view = self._view
        count = int(view[0])
        if count >= self._capacity:
            return
        base = HEADER + count * self._width
        view[base] = time.monotonic() - self._started
        view[base + 1], view[base + 2], view[base + 3] = view[2], view[3], view[1]
        view[base + 4] = moment
        base += INDEX
        last = len(self._readers) - skip
        for index, read in enumerate(self._readers):
            try:
                view[base + index] = read() if index < last else _NAN
            except OSError:  # no descriptor left to read with: that is what is being studied
                view[base + index] = _NAN
        view[0] = count + 1


def mark(index: int) -> None:
    """Leave a mark that can be found again in the allocation stream of a memory profiler."""
    _resleak_mark(index)


def _resleak_mark(index: int) -> None:
    mmap.mmap(-1, mmap.PAGESIZE * (index + 1)).close()


def forget_names() -> None:
    """Empty the interpreter's cache of type attributes.

    It keeps up to 4096 names alive, which C code looked up: it fills slowly, and looks like a leak.
    """
    clear = getattr(sys, "_clear_internal_caches", None) or sys._clear_type_cache
    clear()


def die_with_parent(parent: int) -> None:
    """End this process when the one that started it dies, or at once if that has happened.

    Parameters
    ----------
    parent : int
        The process that measures; a wrapper may stand between it and this one.
    """
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    try:
        os.kill(parent, 0)
    except ProcessLookupError:  # it died before this process could ask to follow it
        os._exit(1)


def dump_stacks_on_signal(path: Path) -> None:
    """Write the stacks of all threads to a file whenever SIGUSR1 arrives, whatever runs."""
    # The file stays open on purpose: the handler needs it until the very end of the process.
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    faulthandler.enable(file)
    faulthandler.register(signal.SIGUSR1, file=file, all_threads=True)


def limit(resources: Mapping[str, int]) -> None:
    """Lower resource limits of this process, by their names in `resource`; never raises one."""
    import resource

    for name, value in resources.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
