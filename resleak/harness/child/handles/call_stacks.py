"""Call stacks as numbers, looked up in microseconds and without keeping frames alive.

A known stack is recognised by the addresses of its instructions. They are forgotten when a code
object is freed, for its address may be reused; names and lines stay. Stacks of threads and event
loops continue at the call that submitted their work.
"""

from __future__ import annotations

import asyncio.events
import sys
import threading
import weakref
from collections.abc import Callable, Iterable
from contextvars import Context, ContextVar, copy_context
from functools import partial
from itertools import repeat, takewhile
from types import CodeType, FrameType
from typing import Any

#: Function, file and line of a caller.
Frame = tuple[str, str, int]
#: Returns the node below which a stack stands.
Base = Callable[[], int]
#: The node of an unknown stack.
UNKNOWN = -1
#: Stand above frames whose callers are left out: too many of them, or not all the same.
DEEPER: Frame = ("<deeper callers>", "", 0)
SEVERAL: Frame = ("<several callers>", "", 0)
#: More frames, and more stacks, than this are not followed.
_MOST_FRAMES, _MOST_NODES, _MOST_KNOWN = 128, 100_000, 20_000
_given_by_thread: dict[int, int] = {}
#: Follows tasks and callbacks, which run in the context of their scheduler.
_given: ContextVar[int] = ContextVar("resleak_given", default=UNKNOWN)


class Calls:
    """A tree of callers: a node's parent is its caller, and a stack is the node of its leaf frame.

    At the functions in `ENTRIES`, where threads and event loops begin, a stack continues with that
    of the code that submitted the work. Frames in `outer` files are left out.
    """

    def __init__(self, outer: Iterable[str]) -> None:
        self.nodes: list[tuple[int, str, str, int]] = []
        self._depths: list[int] = []
        self._outer = frozenset(outer)
        # Their code is kept here, so that nothing else gets its addresses.
        self._entries: dict[CodeType, Base] = dict(ENTRIES)
        self._stops: dict[int, Base] = {}
        self._numbers: dict[tuple[int, str, str, int], int] = {}
        self._known: dict[tuple[int, ...], int] = {}
        self._codes: dict[int, weakref.ref[CodeType]] = {}

    def here(self, skip: int = 1) -> int:
        """Return the node of the calling thread's stack, without the `skip` innermost frames."""
        first = frame = sys._getframe(skip + 1)
        key: list[int] = []
        add, stops = key.append, self._stops
        for _ in repeat(None, _MOST_FRAMES):
            # Instructions are stored within their code object: no two have the same address.
            place = id(frame.f_code) + frame.f_lasti
            if place in stops:
                add(stops[place]())
                break
            add(place)
            frame = frame.f_back  # type: ignore[assignment]
            if frame is None:
                break
        places = tuple(key)
        node = self._known.get(places)
        return self._learn(first, places) if node is None else node

    def stack(self, node: int) -> list[Frame]:
        """Return the frames of a node, the innermost first."""
        frames = []
        while node >= 0:
            node, *frame = self.nodes[node]
            frames.append(tuple(frame))
        return frames  # type: ignore[return-value]

    def shared(self, nodes: Iterable[int]) -> int:
        """Return the innermost frames that some stacks share, or `UNKNOWN` if there are none."""
        different = set(nodes)
        if len(different) == 1:
            return different.pop()
        stacks = [self.stack(node) for node in different]
        same = takewhile(lambda frames: len(set(frames)) == 1, zip(*stacks))  # noqa: B905
        shared = [frames[0] for frames in same]
        return self._enter([*shared, SEVERAL]) if shared else UNKNOWN

    def _learn(self, frame: FrameType | None, places: tuple[int, ...]) -> int:
        frames: list[Frame] = []
        base: Base | None = None
        while frame is not None and len(frames) < _MOST_FRAMES:
            code = frame.f_code
            if code.co_filename in self._outer:
                self._entries[code] = _nowhere
            base = self._entries.get(code)  # says where the stack continues
            if base is not None:
                self._stops[id(code) + frame.f_lasti] = base
                break
            if id(code) not in self._codes:
                self._codes[id(code)] = weakref.ref(code, partial(self._forget, id(code)))
            frames.append((code.co_name, code.co_filename, frame.f_lineno or 0))
            frame = frame.f_back
        if len(frames) == _MOST_FRAMES:
            frames.append(DEEPER)
        node = self._enter(frames, base() if base else UNKNOWN)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[places] = node
        return node

    def _forget(self, code: int, _ref: object) -> None:
        self._codes.pop(code, None)
        self._known.clear()

    def _enter(self, frames: list[Frame], node: int = UNKNOWN) -> int:
        """Return the node of frames, the innermost first, below a node."""
        if node >= 0 and self._depths[node] > _MOST_FRAMES:
            # Work that gives itself work again and again must not make stacks without end.
            frames, node = [*frames, DEEPER], UNKNOWN
        for frame in reversed(frames):
            key = (node, *frame)
            number = self._numbers.get(key)
            if number is None:
                if len(self.nodes) >= _MOST_NODES:
                    return UNKNOWN
                number = self._numbers[key] = len(self.nodes)
                self.nodes.append(key)
                self._depths.append(self._depths[node] + 1 if node >= 0 else 0)
            node = number
        return node


def _nowhere() -> int:
    return UNKNOWN


class Work:
    """A function for a thread of a pool."""

    __slots__ = ("_function", "_node")

    def __init__(self, function: Callable[..., Any], node: int) -> None:
        self._function, self._node = function, node

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        me = threading.get_ident()
        before = _given_by_thread.get(me, UNKNOWN)
        _given_by_thread[me] = self._node
        try:
            return self._function(*args, **kwargs)
        finally:
            if before == UNKNOWN:
                del _given_by_thread[me]
            else:
                _given_by_thread[me] = before


def context_below(node: int) -> Context:
    """Return a copy of the current context for a task created by this stack."""
    context = copy_context()
    context.run(_given.set, node)
    return context


#: Code of the libraries' own machinery, and where the stack above it continues.
ENTRIES = {
    Work.__call__.__code__: lambda: _given_by_thread.get(threading.get_ident(), UNKNOWN),
    asyncio.events.Handle._run.__code__: _given.get,
    threading.Thread._bootstrap_inner.__code__: _nowhere,  # type: ignore[attr-defined]
}
