"""Limits of the system that the code under study has reached."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from resleak.captures import raw


class Limits:
    """Tries limits between steps; those that others had used up before are not watched."""

    def __init__(self, folder: str) -> None:
        self._note = Path(folder, raw.LIMIT).open("w", encoding="utf-8")  # noqa: SIM115
        self._before = {name for name, is_reached in _TRIES.items() if is_reached()}
        self.name = ""

    def reached(self, step: int, error: Exception | None = None) -> bool:
        """Return whether a limit is reached, which `error` may say; note it with the step."""
        names = [name for name, try_ in _TRIES.items() if name not in self._before and try_()]
        if "can't start new thread" in str(error):
            names.append("threads or processes")
        if names:
            self.name = names[0]
            self._note.write(f"{self.name}, reached at step {step}")
            self._note.flush()  # there may be no descriptor to open it with
        return bool(names)


def _descriptors() -> bool:
    try:
        os.close(os.dup(2))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False


def _inotify() -> bool:
    with suppress(OSError, AttributeError):  # not on this system
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor = libc.inotify_init()
        if descriptor >= 0:
            os.close(descriptor)
        return descriptor < 0 and ctypes.get_errno() == errno.EMFILE
    return False


#: Whether a limit is reached, by its name; descriptors first, which the others need.
_TRIES: dict[str, Callable[[], bool]] = {
    "file descriptors (RLIMIT_NOFILE)": _descriptors,
    "inotify instances (fs.inotify.max_user_instances)": _inotify,
}
