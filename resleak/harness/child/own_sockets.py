"""The internet sockets of this process by state, without the tables that the system has of all."""

from __future__ import annotations

import os
import socket
import stat
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress

_FOLDER = "/proc/self/fd"
#: States of TCP as Linux numbers them; a socket in state 7 is neither bound nor connected.
_CLOSED = 7
_NAMES = {1: "sockets_established", 8: "sockets_close_wait", 10: "sockets_listen"}
_TCP_INFO = getattr(socket, "TCP_INFO", None)


class OwnSockets:
    """Counts all at once; the counts by state are those of the last time."""

    #: Whether this system tells the state of a socket.
    are_counted = _TCP_INFO is not None and os.path.isdir(_FOLDER)
    by_state = tuple(_NAMES.values())

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def count(self) -> float:
        """Return how many are bound or connected."""
        self._counts = Counter(filter(None, map(_kind, _descriptors())))
        return float(self._counts.total())

    def of_state(self, name: str) -> float:
        """Return how many of those counted last are in a state of `by_state`."""
        return float(self._counts[name])


def _descriptors() -> Iterable[int]:
    try:
        return map(int, os.listdir(_FOLDER))
    except OSError:  # there is none left to list them with
        import resource  # not on Windows

        return range(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _kind(descriptor: int) -> str:
    """Return the name under which a descriptor counts; empty if it is no such socket."""
    with suppress(OSError):  # it is closed by now
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return _kind_of_socket(descriptor)
    return ""


def _kind_of_socket(descriptor: int) -> str:
    one = socket.SocketType(fileno=descriptor)  # what code in Python may have replaced is not used
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
