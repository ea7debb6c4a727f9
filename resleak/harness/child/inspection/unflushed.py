"""Find data that is lost when a process ends now: unflushed bytes, items left in queues."""

from __future__ import annotations

import asyncio
import gc
import io
import queue
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePath
from typing import Any

_WRITERS = (io.BufferedWriter, io.BufferedRandom)


def lost() -> list[dict[str, Any]]:
    """Return kind, name and amount of unwritten data; contents are not read."""
    rows: list[dict[str, Any]] = []
    # The standard streams are older than what the collector still lists.
    streams = (sys.__stdout__, sys.__stderr__)
    for thing in [*gc.get_objects(), *streams, *gc.get_referents(*streams)]:
        with suppress(ValueError, OSError, AttributeError, RuntimeError):
            rows += _of(thing)
    return rows


def _of(thing: Any) -> Iterator[dict[str, Any]]:
    kind = type(thing)
    if issubclass(kind, _WRITERS) and not thing.closed:
        yield from _row("file", thing.raw, thing.tell() - thing.raw.tell(), "B")
    elif kind is io.TextIOWrapper and not thing.closed and not thing.readable():
        yield from _row("file", thing, _pending(thing), "B")
    elif kind in (queue.Queue, asyncio.Queue):  # not the last-in-first-out ones: those are pools
        yield from _row("queue", kind, thing.qsize(), "items")


def _row(kind: str, thing: Any, amount: int, unit: str) -> Iterator[dict[str, Any]]:
    if amount > 0:
        name = getattr(thing, "name", None) or getattr(thing, "__qualname__", "")
        named = PurePath(name).name if isinstance(name, str) else ""
        yield {"kind": kind, "name": named, "amount": amount, "unit": unit}


def _pending(text: io.TextIOWrapper) -> int:
    """Return the bytes that a text file has not passed on, found by the collector."""
    ignored = {id(text.encoding), id(text.errors)}
    parts = [part for part in gc.get_referents(text) if id(part) not in ignored and part != "\n"]
    lists = [part for found in parts if isinstance(found, list) for part in found]
    return sum(len(part) for part in [*parts, *lists] if isinstance(part, (str, bytes)))
