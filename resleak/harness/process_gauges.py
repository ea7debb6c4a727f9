"""What can be read of a process: the built-in gauges, from inside it and from outside.

psutil has its only home here. A gauge that a platform or an old psutil lacks is left out, and
`missing` says so in words.
"""

from __future__ import annotations

import gc
import os
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resleak.errors import ProcessError
from resleak.workload.scenario import Gauge

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
              floor=0.05, rise=500),
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

#: Read of each step where a scenario names them; see `resleak.harness.child.step_gauges`.
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
    if Path(f"/proc/self/task/{os.getpid()}/children").exists():
        readers["children"] = _children_here
    readers["rss"] = lambda: process.memory_info().rss
    if hasattr(psutil, "heap_info"):
        readers["native" if own_allocator else "heap"] = lambda: sum(psutil.heap_info()[:2])
    return readers


def _children_here() -> int:
    """Count the children of this process, and theirs; cheap where there are none."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return 0
    return _offspring(os.getpid())


def _offspring(pid: int) -> int:
    """Count what Linux lists as forked by each thread of a process.

    psutil looks at every process of the machine for it: too slow to be done after each step.
    """
    here, count = Path(f"/proc/{pid}/task"), 0
    for thread in _unless_ended(os.listdir, here):
        found = _unless_ended(Path.read_bytes, here / thread / "children").split()
        count += len(found) + sum(_offspring(int(child)) for child in found)
    return count


def _unless_ended(read: Callable[[Path], Any], path: Path) -> Any:
    """Return what is read of a process or thread; nothing if it ended a moment before."""
    try:
        return read(path)
    except (FileNotFoundError, ProcessLookupError):
        return b""


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

    @classmethod
    def of(cls, pid: int) -> Outside:
        """Return the view of a process that can be watched.

        Raises
        ------
        ProcessError
            If there is none, it has ended, or this user may not look at it.
        """
        import psutil

        try:
            seen = cls(pid)
        except (psutil.NoSuchProcess, ValueError, OverflowError):
            raise ProcessError(f"there is no process {pid}") from None
        if not seen.alive:
            raise ProcessError(
                f"process {pid} has ended: what is left of it waits for its parent (a zombie)"
            )
        if not seen._may_be_read():
            raise ProcessError(
                f"process {pid} ({seen.name}) is not yours: watch it as its user or as root"
            )
        return seen

    def __init__(self, pid: int) -> None:
        import psutil

        self._process = psutil.Process(pid)
        self._gone = (psutil.Error, OSError)

    def _may_be_read(self) -> bool:
        try:
            return int(self._process.num_fds()) >= 0
        except AttributeError:  # on this system descriptors are not told at all
            return bool(self.quick())
        except self._gone:
            return False

    @property
    def pid(self) -> int:
        """The process's number."""
        return int(self._process.pid)

    @property
    def name(self) -> str:
        """What the system calls it: its program without a path, and never its arguments."""
        try:
            return str(self._process.name())
        except self._gone:
            return "process"

    @property
    def alive(self) -> bool:
        """Whether it still runs; a zombie does not, and neither does another of its number."""
        try:
            return bool(self._process.is_running() and self._process.status() != "zombie")
        except self._gone:
            return False

    @property
    def is_root(self) -> bool:
        """Whether it runs with the rights of root, whom some limits do not hold."""
        try:
            return bool(self._process.uids().effective == 0)
        except (*self._gone, AttributeError):
            return False

    def offspring(self) -> list[Outside]:
        """Return the view of each of its living children, and of theirs."""
        found: list[Outside] = []
        with suppress(*self._gone):
            for child in self._process.children(recursive=True):
                with suppress(*self._gone):
                    found.append(Outside(child.pid))
        return [child for child in found if child.alive]

    def rlimit(self, name: str) -> float | None:
        """Return the soft limit of a resource by its name in `resource`; None without one."""
        import psutil

        kind = getattr(psutil, name, None)
        try:
            soft = self._process.rlimit(kind)[0] if kind is not None else -1
        except (*self._gone, AttributeError):
            return None
        return None if soft in (-1, getattr(psutil, "RLIM_INFINITY", -1)) else float(soft)

    def threads_of_user(self) -> int:
        """Return how many threads the process's user has in all (looks at every process)."""
        import psutil

        mine = self._process.uids().real
        fields = psutil.process_iter(["uids", "num_threads"])
        return sum(
            one.info["num_threads"] or 0
            for one in fields
            if one.info["uids"] and one.info["uids"].real == mine
        )

    def quick(self) -> dict[str, float]:
        """Return what is cheap enough for ten readings a second; empty once the process ended."""
        try:
            with self._process.oneshot():
                return _quick(self._process)
        except self._gone:
            return {}

    def full(self, *, children: bool = True) -> dict[str, float]:
        """Return all that can be read, for the quiet moment at the end of a block.

        Counting its children means looking at every process of the machine.
        """
        reading = self.quick()
        for read in (_uss, _sockets, *((_children,) if children else ())):
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
        reading["fds"] = _open_files(process)
    return reading


def _open_files(process: psutil.Process) -> int:
    """Count a process's descriptors; Linux 6.2 and later know the number without a list of them."""
    try:
        counted = os.stat(f"/proc/{process.pid}/fd").st_size
    except OSError:
        counted = 0
    return counted or int(process.num_fds())


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


def started_in(variable: str, value: str) -> list[int]:
    """Return the processes that have a variable of this value in their environment."""
    import psutil

    found = []
    for process in psutil.process_iter() if value else ():
        try:
            if process.environ().get(variable) == value:
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


def memory_bytes() -> int:
    """Return the memory of this machine in bytes."""
    return memory()[0]


def memory() -> tuple[int, int]:
    """Return the memory of this machine and what is used of it for good, in bytes."""
    import psutil

    seen = psutil.virtual_memory()
    return int(seen.total), int(seen.total - seen.available)
