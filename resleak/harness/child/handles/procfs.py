"""The system's view of this process: descriptors, threads, child processes."""

from __future__ import annotations

import os
import socket
import stat
from _socket import socket as RawSocket  # noqa: N812
from collections.abc import Iterator
from contextlib import suppress
from os import open as open_file  # before `patches` replaces it
from typing import Any

_FD, _TASK = "/proc/self/fd", "/proc/self/task"
_MOST_PROBED = 65_536
_ANONYMOUS = ("eventfd", "timerfd", "signalfd", "pidfd", "inotify")
_DELETED = " (deleted)"


def descriptors() -> Iterator[tuple[int, os.stat_result]]:
    """Yield each open descriptor with its status."""
    try:
        listed = [int(name) for name in os.listdir(_FD)]
    except OSError:  # no descriptor left to list them with
        listed = [*range(min(os.sysconf("SC_OPEN_MAX"), _MOST_PROBED))]
    for number in listed:
        try:
            yield number, os.fstat(number)
        except OSError:  # that of the listing itself
            continue


def kind_of(number: int, status: os.stat_result) -> tuple[str, str]:
    """Return the kind and the target of a descriptor."""
    target = ""
    with suppress(OSError):
        target = os.readlink(f"{_FD}/{number}").removesuffix(_DELETED)
    mode = status.st_mode
    if stat.S_ISSOCK(mode):
        return _socket(number)
    if stat.S_ISFIFO(mode):
        return "pipe", "" if target.startswith("pipe:") else target
    if target.startswith("anon_inode:"):
        name = target.removeprefix("anon_inode:").strip("[]")
        return "epoll" if name == "eventpoll" else name if name in _ANONYMOUS else "other", ""
    if target.startswith("/memfd:"):
        return "memfd", ""
    if stat.S_ISDIR(mode):
        return "directory", target
    return ("file" if stat.S_ISREG(mode) else "device"), target


def status_of(path: Any) -> os.stat_result | None:
    """Return the status of a path or descriptor, or None."""
    try:
        return os.stat(path)
    except (OSError, ValueError, TypeError):
        return None


def _socket(number: int) -> tuple[str, str]:
    """Return the kind of a socket and its peer."""
    try:
        copy = RawSocket(fileno=number)
    except OSError:
        return "socket", ""
    try:
        if copy.family not in (socket.AF_INET, socket.AF_INET6):
            return "unix socket" if copy.family == socket.AF_UNIX else "socket", ""
        with suppress(OSError):  # it has no peer
            return "socket", "to {}:{}".format(*copy.getpeername()[:2])
        return "socket", "at {}:{}".format(*copy.getsockname()[:2])
    finally:
        copy.detach()


def threads() -> list[int]:
    """Return the numbers of this process's threads; OSError if no descriptor is left."""
    return [int(name) for name in os.listdir(_TASK)]


def name(number: int) -> str:
    """Return the name that the system has for a process or a thread."""
    with suppress(OSError):
        return _text(f"/proc/{number}/comm").strip()
    return ""


def children() -> set[int]:
    """Return the child processes, zombies included; OSError if no descriptor is left."""
    texts = [_text(f"{_TASK}/{thread}/children") for thread in threads()]
    return {int(pid) for text in texts for pid in text.split()}


def _text(path: str) -> str:
    """Return the text of a file of the system, empty if what it is about has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        file = open_file(path, os.O_RDONLY)
        try:
            return os.read(file, 65_536).decode(errors="replace")
        finally:
            os.close(file)
    return ""
