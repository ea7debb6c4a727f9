"""Limits of the system that the code under study has reached."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

#: Seconds to wait at the start for a per-user limit that is used up: a parallel run may release it.
_PATIENCE_S, _POLL_S = 5.0, 0.05
#: Share of the allowed memory from which an error is taken for the lack of more.
_USED_UP = 0.9
_OPEN = "/proc/self/fd"
_INOTIFY = "inotify instances (fs.inotify.max_user_instances)"


class Limits:
    """Checks limits between steps; one that other processes have used up is not watched."""

    def __init__(self) -> None:
        import ctypes

        self._libc: Any = ctypes.CDLL(None, use_errno=True)
        self._errno = ctypes.get_errno
        tries = {
            "file descriptors (RLIMIT_NOFILE)": self._has_no_descriptor,
            _INOTIFY: self._has_no_inotify,
        }
        until = time.monotonic() + _PATIENCE_S
        while any(is_reached() for is_reached in tries.values()) and time.monotonic() < until:
            time.sleep(_POLL_S)
        self._tries: dict[str, Callable[[], bool]] = {
            name: is_reached for name, is_reached in tries.items() if not is_reached()
        }
        self.name = ""

    def reached(self, error: Exception | None = None) -> bool:
        """Return whether a limit is reached, which `error` may say."""
        names = (
            name
            for name, is_reached in self._tries.items()
            if is_reached() and (name != _INOTIFY or self._holds_inotify())
        )
        self.name = next(names, _by_error(error) if error else "")
        return bool(self.name)

    def _has_no_descriptor(self) -> bool:
        try:
            os.close(os.dup(2))
        except OSError as error:
            return error.errno in (errno.EMFILE, errno.ENFILE)
        return False

    def _has_no_inotify(self) -> bool:
        if not hasattr(self._libc, "inotify_init"):  # not on this system
            return False
        descriptor = self._libc.inotify_init()
        if descriptor >= 0:
            os.close(descriptor)
        return bool(descriptor < 0 and self._errno() == errno.EMFILE)

    def _holds_inotify(self) -> bool:
        """Return whether this process has an inotify instance of its own."""
        for number in os.listdir(_OPEN):
            with suppress(OSError):  # that of the listing itself
                if os.readlink(f"{_OPEN}/{number}").endswith("inotify"):
                    return True
        return False


def _by_error(error: Exception) -> str:
    """Return the limit that makes such an error, or "" if none is known to."""
    is_refused = isinstance(error, MemoryError) or getattr(error, "errno", 0) == errno.ENOMEM
    if is_refused or _data_share() > _USED_UP:  # stacks of threads and libraries' memory count, too
        return "memory (RLIMIT_DATA, which resleak sets)"
    return "threads or processes" if "can't start new thread" in str(error) else ""


def _data_share() -> float:
    """Return the used share of what RLIMIT_DATA allows, 0 to 1; 0 where it is not known."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
    with suppress(OSError, StopIteration), open("/proc/self/status") as file:
        used = next(line for line in file if line.startswith("VmData:"))
        return 1024 * int(used.split()[1]) / limit if limit > 0 else 0.0
    return 0.0
