"""What can be read of a process: the built-in gauges, from inside it and from outside.

psutil has its only home here. A gauge that a platform or an old psutil lacks is left out, and
`missing` says so in words.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from resleak.errors import ProcessError

if TYPE_CHECKING:
    import psutil


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
