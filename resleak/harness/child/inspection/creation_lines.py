"""The lines that made retained objects, from tracemalloc, which also follows reused memory."""

from __future__ import annotations

import sysconfig
import tracemalloc
from functools import cache
from typing import Any

from resleak.harness.child.inspection import call_stacks

#: Frames kept of each allocation: enough to get from a library to its caller.
_DEPTH = 24
_LIBRARY = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib"))
_PACKAGES = ("site-packages", "dist-packages")

_is_on = False


def start() -> None:
    """Follow allocations from here on, unless the code under study does."""
    global _is_on
    if not tracemalloc.is_tracing():
        tracemalloc.start(_DEPTH)
        _is_on = True


def stop() -> None:
    """Follow them no longer."""
    if _is_on:
        tracemalloc.stop()


def of(thing: Any) -> tuple[str, int]:
    """Return file and line of the innermost call outside of libraries; empty if unknown."""
    frames = [*reversed(tracemalloc.get_object_traceback(thing) or ())]
    theirs = [frame for frame in frames if not call_stacks.is_ours(frame.filename)]
    own = (frame for frame in theirs if not _is_library(frame.filename))
    found = next(own, theirs[0] if theirs else None)
    return (found.filename, found.lineno) if found else ("", 0)


@cache
def _is_library(file: str) -> bool:
    return file.startswith(("<frozen", *_LIBRARY)) or any(part in file for part in _PACKAGES)
