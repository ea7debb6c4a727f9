"""Read the gauges of a process from outside, with psutil, as far as the platform has them."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil

from resleak.errors import ProcessError
from resleak.harness.child.resources import OwnSockets, private, resident

_GONE = (psutil.Error, OSError)


class Outside:
    """A process, read from outside."""

    @classmethod
    def of(cls, pid: int) -> Outside:
        """Return the view of a process; raise ProcessError if it cannot be watched."""
        try:
            view = cls(pid)
        except (psutil.NoSuchProcess, ValueError, OverflowError):
            raise ProcessError(f"there is no process {pid}") from None
        if not view.alive:
            raise ProcessError(
                f"process {pid} has ended: what is left of it waits for its parent (a zombie)"
            )
        is_readable = False
        with suppress(*_GONE):  # not every system counts descriptors
            counts = hasattr(view._process, "num_fds")
            is_readable = view._process.num_fds() >= 0 if counts else bool(view.quick())
        if not is_readable:
            raise ProcessError(
                f"process {pid} ({view.name}) is not yours: watch it as its user or as root"
            )
        return view

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.pid: int = self._process.pid

    @property
    def name(self) -> str:
        """The program's name: no path, no arguments."""
        with suppress(*_GONE):
            return str(self._process.name())
        return "process"

    @property
    def alive(self) -> bool:
        """True while it runs; not for a zombie or a reused process number."""
        with suppress(*_GONE):
            return bool(self._process.is_running() and self._process.status() != "zombie")
        return False

    @property
    def is_root(self) -> bool:
        """True if it runs as root, for whom some limits do not hold."""
        with suppress(*_GONE, AttributeError):
            return bool(self._process.uids().effective == 0)
        return False

    def family(self) -> tuple[list[Outside], int]:
        """Return the views of all its living descendants, and how many nobody waited for."""
        views: list[Outside] = []
        with suppress(*_GONE):
            for child in self._children():
                with suppress(*_GONE):
                    views.append(Outside(child.pid))
        living = [child for child in views if child.alive]
        return living, len(views) - len(living)

    def _children(self) -> list[psutil.Process]:
        """Return all descendants; psutil reads every process of the machine if there are any."""
        with suppress(OSError):  # not on this system, or it has just ended
            threads = [*Path(f"/proc/{self.pid}/task").iterdir()]
            if not any((thread / "children").read_bytes() for thread in threads):
                return []
        return [*self._process.children(recursive=True)]

    def rlimit(self, name: str) -> float | None:
        """Return the soft limit of a resource by its name in `resource`, or None."""
        kind = getattr(psutil, name, None)
        try:
            soft = self._process.rlimit(kind)[0] if kind is not None else -1
        except (*_GONE, AttributeError):
            return None
        return None if soft in (-1, getattr(psutil, "RLIM_INFINITY", -1)) else float(soft)

    def threads_of_user(self) -> int:
        """Return the number of threads of the process's user (slow)."""
        with suppress(*_GONE):
            mine = self._process.uids().real
            others = [one.info for one in psutil.process_iter(["uids", "num_threads"])]
            theirs = [one for one in others if one["uids"] and one["uids"].real == mine]
            return sum(one["num_threads"] or 0 for one in theirs)
        return 0

    def quick(self) -> dict[str, float]:
        """Return the gauges cheap enough for 10 readings per second; empty after its end."""
        process = self._process
        try:
            with process.oneshot():
                if process.status() == "zombie":
                    return {}
                cpu, switches = process.cpu_times(), process.num_ctx_switches()
                reading = {
                    **(resident(self.pid) or {"rss": process.memory_info().rss}),
                    "threads": process.num_threads(),
                    "cpu_s": cpu.user + cpu.system,
                    "ctx_voluntary": switches.voluntary,
                    "ctx_involuntary": switches.involuntary,
                }
                if hasattr(process, "num_fds"):
                    with suppress(OSError):  # Linux 6.2 and later need no list to count them
                        reading["fds"] = os.stat(f"/proc/{self.pid}/fd").st_size
                    reading["fds"] = reading.get("fds") or process.num_fds()
                return reading
        except _GONE:
            return {}

    def reaped_s(self) -> float:
        """Return the processor time of the descendants that ended and were waited for."""
        with suppress(*_GONE, AttributeError):
            times = self._process.cpu_times()
            return float(times.children_user + times.children_system)
        return 0.0

    def maps(self) -> dict[str, float]:
        """Return the number of memory maps, where the system lists them."""
        with suppress(OSError):
            lines = Path(f"/proc/{self.pid}/maps").read_bytes().count(b"\n")
            return {"maps": lines} if lines else {}
        return {}

    def private(self) -> dict[str, float]:
        """Return the private memory (slow for large processes)."""
        with suppress(*_GONE):
            return private(self.pid) or {"uss": self._process.memory_full_info().uss}
        return {}

    def memory(self) -> dict[str, float]:
        """Return the private memory and the memory maps: slow for large processes."""
        return (uss := self.private()) and uss | self.maps()

    def sockets(self) -> dict[str, float]:
        """Return the internet sockets, by state too: slow where there are many."""
        with suppress(*_GONE):
            found = self._process.net_connections("inet") if self._may_have_inet_sockets() else []
            states = Counter(one.status for one in found)
            known = ("ESTABLISHED", "CLOSE_WAIT", "LISTEN")
            by_state = {f"sockets_{state.lower()}": states[state] for state in known}
            return {"sockets": states.total(), **by_state}
        return {}

    def _may_have_inet_sockets(self) -> bool:
        """Return False if Linux lists all its sockets as Unix ones, which is quick to read."""
        folder = f"/proc/{self.pid}"
        try:
            links = [os.readlink(f"{folder}/fd/{number}") for number in os.listdir(f"{folder}/fd")]
            sockets = {link[8:-1] for link in links if link.startswith("socket:[")}
            rows = Path(f"{folder}/net/unix").read_text(errors="replace").splitlines()[1:]
        except OSError:  # not on this system, or something was closed meanwhile
            return True
        return not sockets <= {row.split(maxsplit=7)[6] for row in rows}

    def close_wait(self) -> dict[str, int]:
        """Return the sockets that the peer has closed and this process has not, by peer."""
        with suppress(*_GONE):
            found = self._process.net_connections("inet")
            peers = (one.raddr for one in found if one.status == "CLOSE_WAIT" and one.raddr)
            return dict(Counter(f"{peer.ip}:{peer.port}" for peer in peers).most_common())
        return {}

    def full(self) -> dict[str, float]:
        """Return all gauges but those that a process of ours counts itself."""
        reading = {**self.quick(), **self.private()}
        if not OwnSockets.are_counted:
            reading |= self.sockets()
        with suppress(*_GONE):
            states = Counter(child.status() for child in self._children())
            reading["zombies"] = states.pop("zombie", 0)
            reading["children"] = states.total()
        return reading


def memory() -> tuple[int, int]:
    """Return the memory of this machine and its used part, in bytes."""
    usage = psutil.virtual_memory()
    return int(usage.total), int(usage.total - usage.available)
