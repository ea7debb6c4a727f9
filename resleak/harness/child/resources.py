"""Memory, internet sockets and shared memory of a process, as Linux lists them."""

from __future__ import annotations

import importlib
import os
import socket
import stat
from array import array
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

_KIB = 1024
_DESCRIPTORS, _SEGMENTS = "/proc/self/fd", "/dev/shm"
#: States of TCP as Linux numbers them; a socket in state 7 is neither bound nor connected.
_CLOSED = 7
_NAMES = {1: "sockets_established", 8: "sockets_close_wait", 10: "sockets_listen"}
_TCP_INFO = getattr(socket, "TCP_INFO", None)
#: Most segments that are noted.
_MOST = 1 << 16


def resident(pid: int | str = "self") -> dict[str, float]:
    """Return ``rss`` and ``rss_file`` in bytes; empty where the system does not tell them apart."""
    # The kernel takes back the pages of files whenever it likes.
    values = _values(f"/proc/{pid}/status", (b"RssAnon:", b"RssShmem:", b"RssFile:"))
    return {"rss": values[0] + values[1], "rss_file": values[2]} if len(values) == 3 else {}


def private(pid: int | str = "self") -> dict[str, float]:
    """Return ``uss`` in bytes: private memory, and the process's share of what it shares."""
    # Not "Private_Dirty": pages of a file that was just written count there, too.
    values = _values(f"/proc/{pid}/smaps_rollup", (b"Pss_Anon:", b"Pss_Shmem:"))
    return {"uss": sum(values)} if values else {}


def _values(path: str, wanted: tuple[bytes, ...]) -> list[float]:
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError:
        return []
    fields = {line.split(maxsplit=1)[0]: line for line in lines if line.startswith(wanted)}
    return [float(fields[name].split()[1]) * _KIB for name in wanted if name in fields]


class OwnSockets:
    """Counts this process's sockets without the tables that the system has of all."""

    #: Whether this system tells the state of a socket.
    are_counted = _TCP_INFO is not None and os.path.isdir(_DESCRIPTORS)
    by_state = tuple(_NAMES.values())

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def count(self) -> float:
        """Return how many are bound or connected."""
        try:
            numbers = [*map(int, os.listdir(_DESCRIPTORS))]
        except OSError:  # there is no descriptor left to list them with
            import resource  # not on Windows

            numbers = [*range(resource.getrlimit(resource.RLIMIT_NOFILE)[0])]
        self._counts = Counter(filter(None, map(_kind, numbers)))
        return float(self._counts.total())

    def of_state(self, name: str) -> float:
        """Return how many of those counted last are in a state of `by_state`."""
        return float(self._counts[name])


def _kind(descriptor: int) -> str:
    """Return the name under which a descriptor counts; empty if it is not such a socket."""
    with suppress(OSError):  # it is closed by now
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return ""
        # What code in Python may have replaced is not used.
        one = socket.SocketType(fileno=descriptor)
        try:
            if one.family not in (socket.AF_INET, socket.AF_INET6):
                return ""
            if one.type == socket.SOCK_DGRAM:
                return "sockets_other" if one.getsockname()[1] else ""
            if one.type != socket.SOCK_STREAM or _TCP_INFO is None:
                return ""
            state = one.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1)[0]
            return "" if state == _CLOSED else _NAMES.get(state, "sockets_other")
        finally:
            one.detach()
    return ""


class _Segments:
    """Counts the shared-memory segments that this process made and that still have a name."""

    def __init__(self) -> None:
        # The inodes of segments, in place: noting one must not add memory.
        self.inodes, self.noted, self.is_followed = array("Q"), 0, False

    def follow(self) -> None:
        """Note each segment from now on; nothing happens where there are none."""
        with suppress(ImportError):
            module: Any = importlib.import_module("_posixshmem")
            make, self.inodes = module.shm_open, array("Q", bytes(8 * _MOST))

            def shm_open(path: str, flags: int, mode: int = 0o777) -> int:
                descriptor: int = make(path, flags, mode=mode)
                if flags & os.O_CREAT and self.noted < _MOST:
                    self.inodes[self.noted] = os.fstat(descriptor).st_ino
                    self.noted += 1
                return descriptor

            module.shm_open = shm_open
            self.is_followed = os.path.isdir(_SEGMENTS)

    def count(self) -> float:
        """Return how many still have a name, and forget the others."""
        named = {entry.inode() for entry in os.scandir(_SEGMENTS)}
        left = 0
        for index in range(self.noted):
            if (inode := self.inodes[index]) in named:
                self.inodes[left] = inode
                left += 1
        self.noted = left
        return float(left)


SEGMENTS = _Segments()
