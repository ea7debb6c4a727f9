"""Gauges that the measured process reads of itself after each step."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

try:  # once, before a file of the workload's folder could have this name
    import psutil
except ImportError:
    psutil = None

Reader = Callable[[], float]


def inside_readers() -> dict[str, Reader]:
    """Return the readers called after each step, cheap and exact ones only."""
    # With Python's own allocator its blocks are exact, and the C library's bytes are those of
    # native code and of objects over 512 bytes (`native`). Under ``PYTHONMALLOC=malloc`` blocks
    # read 0 and the C library counts every byte (`heap`).
    own_allocator = sys.getallocatedblocks() > 0
    readers: dict[str, Reader] = {"blocks": sys.getallocatedblocks} if own_allocator else {}
    if psutil is None:
        return readers
    process = psutil.Process()
    if hasattr(process, "num_fds"):
        readers["fds"] = process.num_fds
    readers["threads"] = process.num_threads
    if Path(f"/proc/self/task/{os.getpid()}/children").exists():
        readers["children"] = _children_here
    readers["rss"] = lambda: process.memory_info().rss
    if hasattr(psutil, "heap_info"):
        readers["native" if own_allocator else "heap"] = lambda: sum(psutil.heap_info()[:2])
    return readers


def _children_here() -> int:
    """Count the descendants of this process; cheap where there are none."""
    with suppress(ChildProcessError):
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return _offspring(os.getpid())
    return 0


def _offspring(pid: int) -> int:
    """Count the children that Linux lists for each thread of a process, and theirs."""
    # psutil scans every process of the machine: too slow after each step.
    folder, count = Path(f"/proc/{pid}/task"), 0
    with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
        for thread in os.listdir(folder):
            with suppress(FileNotFoundError, ProcessLookupError):
                children = (folder / thread / "children").read_bytes().split()
                count += len(children) + sum(_offspring(int(child)) for child in children)
    return count


def object_count() -> float:
    """Return how many objects the collector tracks (slow: for the end of a block)."""
    return len(gc.get_objects())


def trim_heap() -> None:
    """Ask the C library to return freed memory to the system, where it can."""
    getattr(psutil, "heap_trim", lambda: None)()
