"""Attribute each resource to the call that created it, with its stack.

A descriptor is known by its number until the number is reused, so an open descriptor is compared
with what was noted under its number. SQLite and other libraries open files themselves; the system
always gives the lowest free number, which is found by taking it and giving it back. If two threads
claim the same number, their descriptors are attributed by inode or not at all.

Stacks are numbers, looked up in microseconds and without keeping frames alive. A known stack is
recognised by the addresses of its instructions. They are forgotten when a code object is freed, for
its address may be reused; names and lines stay. Stacks of threads and event loops continue at the
call that submitted their work.
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
from os import close, dup, fstat  # before `patches` replaces some of them
from threading import get_ident
from types import CodeType, FrameType
from typing import Any, NamedTuple

#: Most descriptors that several threads may have opened.
_MOST_DOUBTFUL = 4096
NO_NUMBER = -1
#: Kinds that libraries open themselves, under numbers that are guessed and checked later.
GUESSED = ("sqlite3", "map", "directory")
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


class Opening(NamedTuple):
    """A call that created something: its stack, what and when, and who did it."""

    node: int
    #: Empty: the system knows it.
    kind: str
    path: Any
    #: 0 where `path` identifies the file.
    inode: int
    #: The object that closes the descriptor.
    thing: weakref.ref[Any] | None
    step: int
    phase: int
    thread: int


class Binder:
    """Keeps what was created until the next census, and none of it alive."""

    def __init__(self, calls: Calls, spare: int) -> None:
        self.calls, self._spare = calls, spare
        self.on, self.step, self.phase = False, 0, 0
        self.descriptors: dict[int, Opening] = {}
        self.doubtful: list[Opening] = []
        self.objects: list[tuple[weakref.ref[Any], Opening]] = []
        self.databases: dict[int, Opening] = {}  # by address: they allow no weak references
        self.threads: dict[int, Opening] = {}
        #: Threads that `threading` started; threads whose Python code has ended.
        self.named_threads: set[int] = set()
        self.ended_threads: set[int] = set()
        self.processes: dict[int, Opening] = {}
        self.paths: list[tuple[str, Opening]] = []

    def opening(self, kind: str, inode: int = 0, path: Any = None, skip: int = 2) -> Opening:
        """Return an opening by the calling thread, now; skip our innermost frames."""
        node = self.calls.here(skip)
        return Opening(node, kind, path, inode, None, self.step, self.phase, get_ident())

    def file(self, number: int, path: Any, thing: Any = None) -> None:
        """Note a file that a wrapped call returned, with the object that closes it."""
        # Spelled out: this is what happens most often.
        node, ref = self.calls.here(3), None if thing is None else weakref.ref(thing)
        self.descriptors[number] = Opening(
            node, "", path, 0, ref, self.step, self.phase, get_ident()
        )

    def descriptor(self, number: int, kind: str, skip: int = 4) -> None:
        """Note another descriptor that a wrapped call returned."""
        self.descriptors[number] = self.opening(kind, inode=fstat(number).st_ino, skip=skip)

    def instance(self, kind: str, thing: Any, skip: int = 4) -> None:
        """Note an object that a wrapped call returned."""
        self.objects.append((weakref.ref(thing), self.opening(kind, skip=skip)))

    def next_number(self) -> int:
        """Return the number that the next descriptor will have, or `NO_NUMBER`."""
        try:
            number = dup(self._spare)
            close(number)
            return number
        except OSError:  # none is left, or the spare one was closed
            return NO_NUMBER

    def guess(self, number: int, opening: Opening) -> None:
        """Note what a library opened during a wrapped call, under its probable number."""
        before = self.descriptors.get(number)
        is_contested = before and before.thread != opening.thread and before.kind == opening.kind
        if is_contested or number == NO_NUMBER:
            self.descriptors.pop(number, None)
            room = _MOST_DOUBTFUL - len(self.doubtful)
            self.doubtful += [one for one in (before, opening) if one is not None][:room]
        else:
            self.descriptors[number] = opening

    def running(self, listed: set[int]) -> set[int]:
        """Return the threads that still run; Linux lists a joined one for a moment."""
        alive = {thread.native_id for thread in threading.enumerate()}
        self.named_threads &= listed
        self.ended_threads &= listed
        return listed - (self.named_threads - alive) - self.ended_threads

    def thread(self, number: int, opening: Opening, *, is_named: bool = False) -> None:
        """Record a new thread; its number may have been used before."""
        (self.named_threads.add if is_named else self.named_threads.discard)(number)
        self.ended_threads.discard(number)
        self.threads[number] = opening


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
        same = takewhile(lambda frames: len(set(frames)) == 1, zip(*stacks, strict=False))
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
        me = get_ident()
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
    Work.__call__.__code__: lambda: _given_by_thread.get(get_ident(), UNKNOWN),
    asyncio.events.Handle._run.__code__: _given.get,
    threading.Thread._bootstrap_inner.__code__: _nowhere,  # type: ignore[attr-defined]
}
