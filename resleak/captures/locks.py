"""Folders that one process at a time may use, and temporary ones that outlive no run for long."""

from __future__ import annotations

import atexit
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from resleak.errors import CaptureError

_TEMPORARY = re.compile(r"resleak-\d+-[0-9a-f]{8}")
#: Age from which a folder that nobody locks is a leftover, seconds: a new one is locked at once.
_LEFT_S = 60.0


@contextmanager
def locked(folder: Path, wait_s: float = 0.0) -> Iterator[bool | None]:
    """Lock a folder against other processes; yield False if one of them has it for too long.

    Where there are no locks None is yielded: the folder may be in use.
    """
    try:
        import fcntl
    except ImportError:  # Windows, where nothing is captured
        yield None
        return
    descriptor, until = os.open(folder, os.O_RDONLY), time.monotonic() + wait_s
    try:
        is_free: bool | None = False
        while is_free is False:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_free = True
            except BlockingIOError:
                if time.monotonic() >= until:
                    break
                time.sleep(0.05)
            except OSError:  # a file system without locks
                is_free = None
        yield is_free
    finally:
        os.close(descriptor)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a private folder that is removed at the end, or after a kill by a later run."""
    try:
        root = Path(tempfile.gettempdir())
        _remove_leftovers(root)
        folder = root / f"resleak-{os.getpid()}-{secrets.token_hex(4)}"
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise CaptureError(cannot_write("temporary files", error)) from None
    try:
        with locked(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def folder_until_exit() -> Path:
    """Return a temporary folder that goes with this process."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(temporary_folder())


def is_temporary(folder: Path) -> bool:
    """Return True if a folder has the name of one of our temporary ones."""
    return bool(_TEMPORARY.fullmatch(folder.name))


def cannot_write(what: object, error: OSError) -> str:
    """Return why something could not be written, and what to do."""
    where = error.filename or tempfile.tempdir or what
    return f"cannot write {what} to {where} ({error.strerror or error}); free space or set TMPDIR"


def _remove_leftovers(root: Path) -> None:
    """Remove our temporary folders that no process uses any more."""
    if not hasattr(os, "getuid"):  # Windows, where locks say nothing
        return
    for entry in os.scandir(root):
        with suppress(OSError):
            if not is_temporary(Path(entry)) or not entry.is_dir(follow_symlinks=False):
                continue
            about = entry.stat(follow_symlinks=False)
            if about.st_uid != os.getuid() or time.time() - about.st_mtime < _LEFT_S:
                continue
            with locked(Path(entry.path)) as is_dead:
                if is_dead:
                    shutil.rmtree(entry.path, ignore_errors=True)
