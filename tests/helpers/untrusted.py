"""Files of unknown origin: opened under limits, and reports with anything in their archive."""

from __future__ import annotations

import base64
import io
import lzma
import os
import resource
import signal
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from resleak.captures import archive
from resleak.errors import ResleakError

#: Bytes and seconds of processor time that a file may take.
MEMORY, SECONDS = 512 << 20, 10


def message_of(action: Callable[[], Any]) -> str:
    """Return why something was refused, or nothing; any other error goes through."""
    try:
        with limited():
            action()
    except ResleakError as error:
        return str(error)
    return ""


def is_one_line(message: str) -> bool:
    """Return True for a short message of at most one line."""
    return "\n" not in message and len(message) < 2000


@contextmanager
def limited() -> Iterator[None]:
    """Allow 512 MiB more than there are now, and 10 s of processor time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if os.path.exists("/proc/self/statm"):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    before = signal.signal(signal.SIGVTALRM, _too_slow)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _too_slow(_number: int, _frame: object) -> None:
    pytest.fail(f"it took more than {SECONDS} s")


def archived(name: str, content: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return a report with one file in its archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:") as tar:
        member = tarfile.TarInfo(name)
        member.size, member.type = len(content), kind
        tar.addfile(member, io.BytesIO(content))
    return page(lzma.compress(buffer.getvalue(), preset=1))


def page(packed: bytes) -> bytes:
    return archive.script(base64.b64encode(packed).decode()).encode()
