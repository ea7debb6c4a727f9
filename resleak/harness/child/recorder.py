"""Record a process from inside without making it grow: rows in a file map, marks, signals."""

from __future__ import annotations

import faulthandler
import gc
import json
import mmap
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from resleak.captures.raw import HEADER, INDEX

Readers = Mapping[str, Callable[[], float]]
_NAN = float("nan")
_STEP, _BEFORE, _AFTER = range(3)
#: Collections after the load.
SETTLE_ROUNDS = 3
#: Lowest number of the descriptors that are written to without a look at what they are.
_HIGH = 900


class SampleLoop:
    """Counts steps and blocks, with a row after each step and two around each collection.

    Rows of float64 in a file map, which the parent reads at any time, even after a kill.
    """

    def __init__(
        self, folder: Path, readers: Readers, slow: Readers, steps: int, block: int, started: float
    ) -> None:
        (folder / "columns.json").write_text(json.dumps([*readers, *slow]))
        self._readers, self._slow = (*readers.values(), *slow.values()), len(slow)
        self._capacity, self._started = steps + 2 * (steps // block + 2 + SETTLE_ROUNDS), started
        self._width = INDEX + len(self._readers)
        size = 8 * (HEADER + self._capacity * self._width)
        with (folder / "trace.raw").open("wb+") as file:
            file.write(b"\0" * size)
            file.flush()
            self._map = mmap.mmap(file.fileno(), size)
        # All pages are touched before the first step and rows are written in place, so that
        # recording adds no memory.
        self._view = memoryview(self._map).cast("d")
        for page in range(0, len(self._view), mmap.PAGESIZE // 8):
            self._view[page] = 0.0
        self._row(0, 0)  # the first reading of each gauge allocates; it is overwritten
        self._view[0] = 0.0
        self.done, self.block = 0, 0

    def begin(self, phase: int) -> None:
        """Write the position of the run, for the parent and for the next rows."""
        view = self._view
        view[1], view[2], view[3] = phase, self.done, self.block

    def step(self, phase: int, *, is_read: bool) -> None:
        """Note the end of a step, and record it if it is read."""
        self.done += 1
        self.begin(phase)
        if is_read:
            self._row(_STEP, self._slow)

    def collect(self, phase: int, collect: Callable[[], object] = gc.collect) -> None:
        """Record the end of a block, before and after a collection."""
        self.begin(phase)
        self._row(_BEFORE, self._slow)
        collect()
        # The cache of type attributes keeps up to 4096 names alive that C code looked up: it fills
        # slowly and looks like a leak.
        clear = getattr(sys, "_clear_internal_caches", None) or sys._clear_type_cache
        clear()
        self._row(_AFTER, 0)
        self.block += 1

    def _row(self, moment: int, skip: int) -> None:
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


def _resleak_mark(index: int) -> None:
    """Leave a mark in the allocation stream of a memory profiler, which is known by this name."""
    mmap.mmap(-1, mmap.PAGESIZE * (index + 1)).close()


@contextmanager
def high_descriptors() -> Iterator[None]:
    """Give what is opened meanwhile a high number.

    A workload that closes all descriptors gets the low numbers for its own files, and C code that
    still writes to a number of before would write into them.
    """
    import resource

    taken = [os.open(os.devnull, os.O_RDONLY)]
    high = min(_HIGH, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 16)
    try:
        while taken[-1] < high:
            taken.append(os.dup(taken[0]))
        yield
    finally:
        for number in taken:
            os.close(number)


def dump_stacks_on_signal(path: Path) -> None:
    """Write the stacks of all threads to a file whenever SIGUSR1 arrives, whatever runs."""
    # The file stays open on purpose: the handler needs it until the very end of the process.
    with high_descriptors():
        file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    faulthandler.enable(file)
    faulthandler.register(signal.SIGUSR1, file=file, all_threads=True)


def limit(resources: Mapping[str, int]) -> None:
    """Lower resource limits of this process, by their names in `resource`; never raise one."""
    import resource

    for name, value in resources.items():
        if (kind := getattr(resource, name, None)) is not None:
            _, hard = resource.getrlimit(kind)
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (value, value))
