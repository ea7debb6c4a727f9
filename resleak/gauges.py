"""What can be read of a process: the built-in gauges, from inside it and from outside.

psutil has its only home here. A gauge that a platform or an old psutil lacks is left out, and
`missing` says so in words.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from resleak.declare import Gauge

if TYPE_CHECKING:
    import psutil

Reader = Callable[[], float]

#: The gauges of every run, by name. Handles count from the first one kept; memory floors are what
#: a do-nothing process was seen to stay under (docs/decisions/0003-floors.md).
BUILTIN = {
    gauge.name: gauge
    for gauge in (
        Gauge("fds", "descriptors", "open file descriptors", family="handles"),
        Gauge("threads", "threads", "threads, those of native libraries too", family="handles"),
        Gauge("sockets", "sockets", "internet sockets in any state", family="handles"),
        Gauge("children", "processes", "child processes, recursively", family="handles"),
        Gauge("blocks", "blocks", "memory blocks of Python's allocator", family="objects",
              floor=0.1, rise=500),
        Gauge("objects", "objects", "objects the garbage collector tracks", family="objects",
              floor=0.05, rise=200),
        Gauge("heap", "B", "bytes of all blocks, with Python's allocator off", family="memory",
              floor=8, rise=64 * 1024),
        Gauge("native", "B", "bytes of native code and of large objects alone", family="memory",
              floor=8, rise=64 * 1024),
        Gauge("rss", "B", "resident memory", family="resident", floor=1024, rise=1024**2),
        Gauge("uss", "B", "memory that would be freed if the process ended", family="resident",
              floor=1024, rise=1024**2),
    )
}  # fmt: skip

#: Read of each step where a scenario names them; see `resleak.meters`.
MEASURES = {
    gauge.name: gauge
    for gauge in (
        Gauge("step_s", "s", "duration of the step", "measure"),
        Gauge("lag_s", "s", "longest wait of the event loop during the step", "measure"),
        Gauge("step_peak", "B", "most memory in the step, above what it began with", "measure"),
    )
}

#: Read by the parent for context; never judged for growth.
CONTEXT = {
    "cpu_s": "s",
    "ctx_voluntary": "switches",
    "ctx_involuntary": "switches",
    "sockets_established": "sockets",
    "sockets_close_wait": "sockets",
    "sockets_listen": "sockets",
}


def inside_readers() -> dict[str, Reader]:
    """Return the readers a measured process calls after each step, cheapest and exact ones only.

    With Python's own allocator on, it counts its blocks exactly, and the C library's bytes are
    those of native code and of objects over 512 bytes (`native`). With it off
    (``PYTHONMALLOC=malloc``), blocks read 0 and the C library counts every byte (`heap`).
    """
    own_allocator = sys.getallocatedblocks() > 0
    readers: dict[str, Reader] = {"blocks": sys.getallocatedblocks} if own_allocator else {}
    try:
        import psutil
    except ImportError:
        return readers
    process = psutil.Process()
    if hasattr(process, "num_fds"):
        readers["fds"] = process.num_fds
    readers["threads"] = process.num_threads
    readers["rss"] = lambda: process.memory_info().rss
    if hasattr(psutil, "heap_info"):
        readers["native" if own_allocator else "heap"] = lambda: sum(psutil.heap_info()[:2])
    return readers


def object_count() -> float:
    """Return how many objects the collector tracks (slow: for the end of a block)."""
    return len(gc.get_objects())


def missing(present: set[str]) -> list[str]:
    """Return one line for each built-in gauge that a run could not read, and why."""
    why = {
        "heap": "read in the runs under PYTHONMALLOC=malloc, with psutil 7.2 or later",
        "blocks": "read in the runs with Python's own allocator",
        "native": "read in the runs with Python's own allocator, with psutil 7.2 or later",
        "fds": "this system does not count descriptors per process",
        "uss": "this system does not tell private memory apart",
    }
    absent = [name for name in BUILTIN if name not in present]
    return [f"{name}: {why.get(name, 'not read in this run')}" for name in absent]


class Outside:
    """The view a parent has of one process.

    Parameters
    ----------
    pid : int
        The process to watch.
    """

    def __init__(self, pid: int) -> None:
        import psutil

        self._process = psutil.Process(pid)
        self._gone = (psutil.Error, OSError)

    def quick(self) -> dict[str, float]:
        """Return what is cheap enough for ten readings a second; empty once the process ended."""
        try:
            with self._process.oneshot():
                return _quick(self._process)
        except self._gone:
            return {}

    def full(self) -> dict[str, float]:
        """Return all that can be read, for the quiet moment at the end of a block."""
        reading = self.quick()
        for read in (_uss, _sockets, _children):
            try:
                reading.update(read(self._process))
            except self._gone:
                continue
        return reading


def _quick(process: psutil.Process) -> dict[str, float]:
    cpu, switches = process.cpu_times(), process.num_ctx_switches()
    reading = {
        "rss": process.memory_info().rss,
        "threads": process.num_threads(),
        "cpu_s": cpu.user + cpu.system,
        "ctx_voluntary": switches.voluntary,
        "ctx_involuntary": switches.involuntary,
    }
    if hasattr(process, "num_fds"):
        reading["fds"] = process.num_fds()
    return reading


def _uss(process: psutil.Process) -> dict[str, float]:
    return {"uss": process.memory_full_info().uss}


def _sockets(process: psutil.Process) -> dict[str, float]:
    states = Counter(c.status for c in process.net_connections("inet"))
    return {
        "sockets": states.total(),
        "sockets_established": states["ESTABLISHED"],
        "sockets_close_wait": states["CLOSE_WAIT"],
        "sockets_listen": states["LISTEN"],
    }


def _children(process: psutil.Process) -> dict[str, float]:
    return {"children": len(process.children(recursive=True))}


def trim_heap() -> None:
    """Ask the C library to return freed memory to the system, where it can."""
    try:
        import psutil
    except ImportError:
        return
    getattr(psutil, "heap_trim", lambda: None)()


def memory_bytes() -> int:
    """Return the memory of this machine in bytes."""
    import psutil

    return int(psutil.virtual_memory().total)
