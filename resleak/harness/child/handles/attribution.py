"""Attribute each resource to the call that created it.

A descriptor is known by its number until the number is reused, so an open descriptor is compared
with what was noted under its number. SQLite and other libraries open files themselves; the system
always gives the lowest free number, which is found by taking it and giving it back. If two threads
claim the same number, their descriptors are attributed by inode or not at all.
"""

from __future__ import annotations

import threading
import weakref
from os import close, dup, fstat  # before `wraps` replaces some of them
from threading import get_ident
from typing import Any, NamedTuple

from resleak.harness.child.handles.call_stacks import Calls

#: Most descriptors that several threads may have opened.
_MOST_DOUBTFUL = 4096
NO_NUMBER = -1
#: Kinds that libraries open themselves, under numbers that are guessed and checked later.
GUESSED = ("sqlite3", "map", "directory")


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
