"""Call stacks of threads and tasks as lists of file, line and function."""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

#: File, line and function; the innermost call comes first.
Site = tuple[str, int, str]
Stack = list[Site]

_PACKAGE = Path(__file__).parents[3]
_OURS, _STUDIED = f"{_PACKAGE}/", f"{_PACKAGE}/scenarios/"
_DEPTH = 40


def is_ours(file: str) -> bool:
    """Return True for our own files, scenarios excepted."""
    return file.startswith(_OURS) and not file.startswith(_STUDIED)


def frames(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield a frame and those that called it."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def stack(chain: Iterable[FrameType]) -> Stack:
    """Return the places of frames, the innermost first, without our own."""
    places = [(f.f_code.co_filename, f.f_lineno or 0, name(f.f_code)) for f in chain]
    return [place for place in places if not is_ours(place[0])][:_DEPTH]


def here(skip: int) -> Stack:
    """Return the stack of the caller, `skip` frames up."""
    return stack(frames(sys._getframe(skip + 1)))


def name(code: CodeType) -> str:
    """Return the name of a code with that of its class."""
    return getattr(code, "co_qualname", code.co_name)  # the former from Python 3.11 on


def awaiting(task: Any) -> Iterator[FrameType]:
    """Yield the frames of what a task awaits, the innermost first."""
    return reversed([*_chain(task, set())])


def _chain(task: Any, visited: set[int]) -> Iterator[FrameType]:
    if id(task) in visited:
        return
    visited.add(id(task))
    coroutine = task.get_coro() if hasattr(task, "get_coro") else None
    frame = None
    while coroutine is not None:
        frame = _frame_of(coroutine)
        if frame is not None:
            yield frame
        coroutine = _inner(coroutine)
    pending = [t for t in _awaited(task, frame) if hasattr(t, "get_coro") and not t.done()]
    for first in pending[:1]:
        yield from _chain(first, visited)


def _awaited(task: Any, innermost: FrameType | None) -> list[Any]:
    """Return what a task awaits: a task, gathered ones, a group, those of `asyncio.wait`."""
    if innermost is not None:
        variables = innermost.f_locals
        group = getattr(variables.get("self"), "_tasks", ())
        several = {"_wait": variables.get("fs", ()), "__aexit__": group, "_aexit": group}
        if innermost.f_code.co_name in several:
            return [*several[innermost.f_code.co_name]]
    waits_for = getattr(task, "_fut_waiter", None)
    return [*getattr(waits_for, "_children", [waits_for])]


def _first(thing: Any, *names: str) -> Any:
    """Return the first attribute that is not None."""
    values = (getattr(thing, name, None) for name in names)
    return next((value for value in values if value is not None), None)


def _frame_of(awaitable: Any) -> Any:
    return _first(awaitable, "cr_frame", "gi_frame", "ag_frame")


def _inner(awaitable: Any) -> Any:
    """Return what a coroutine or generator awaits, if that has a frame as well."""
    inner = _first(awaitable, "cr_await", "gi_yieldfrom", "ag_await")
    if inner is None or _frame_of(inner) is not None:
        return inner
    # The result of `asend` and the like shows its generator to the collector only.
    return next((referent for referent in gc.get_referents(inner) if _frame_of(referent)), None)


def code_of(function: Any) -> CodeType | None:
    """Return the code that a callable runs: a function's, a method's, a partial's."""
    while isinstance(function, functools.partial):
        function = function.func
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    return code if isinstance(code, CodeType) else None
