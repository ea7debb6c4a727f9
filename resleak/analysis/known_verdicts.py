"""Verdicts that `judge` returns again: while the notebook of a report runs, the one printed.

They are known by the captures they rest on. A change of any file of these makes one unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from resleak.captures.frames import Captures

_known: dict[frozenset[Any], Any] = {}


@contextmanager
def known(captures: Captures, verdict: object) -> Iterator[None]:
    """Let `judge` return this verdict for these captures while the block runs."""
    stamp = _stamp(captures)
    _known[stamp] = verdict
    try:
        yield
    finally:
        _known.pop(stamp, None)


def of(captures: Captures) -> Any | None:
    """Return the known verdict on captures, if there is one."""
    return _known.get(_stamp(captures)) if _known else None


def _stamp(captures: Captures) -> frozenset[Any]:
    return frozenset(
        (capture.path.resolve(), file.name, status.st_size, status.st_mtime_ns)
        for capture in captures
        for file in capture.path.iterdir()
        for status in [file.stat()]
    )
