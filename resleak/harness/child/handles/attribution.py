"""Which call created what: each call that is wrapped says what it returned, and from where.

A descriptor is known by its number, until the number is another's. So whatever is found open later
is compared with what was noted under its number; what does not fit was opened by somebody else.
Libraries that open for themselves, such as SQLite, do not tell the number, but the system always
gives the lowest free one, and that can be asked for: by taking it and giving it back. If two
threads were told the same number, neither is believed, and their descriptors are told apart by what
they are of, or not at all.
"""

from __future__ import annotations

import weakref
from os import close, dup, fstat  # before `wraps` replaces some of them
from threading import get_ident
from typing import Any, NamedTuple

from resleak.harness.child.handles.call_stacks import Calls

#: What several threads may have opened is told apart among this many at most.
_MOST_DOUBTFUL = 4096
NO_NUMBER = -1
#: What libraries open for themselves, under numbers that are guessed and have to be checked.
GUESSED = ("sqlite3", "map", "directory")


class Opening(NamedTuple):
    """A call that created something.

    Attributes
    ----------
    node : int
        Its stack.
    kind : str
        What it created; empty if the system knows better.
    path : str, bytes or path, optional
        What it was asked to open.
    inode : int
        Of what it opened; 0 if `path` tells.
    thing : weakref, optional
        The object to which the descriptor belongs, if there is one.
    step, phase, thread : int
        When, and by whom.
    """

    node: int
    kind: str
    path: Any
    inode: int
    thing: weakref.ref[Any] | None
    step: int
    phase: int
    thread: int


class Binder:
    """Keeps what was created until the next census.

    Nothing that is studied is kept alive: objects are held by weak references, connections of
    sqlite3, which have none, by their addresses.

    Parameters
    ----------
    calls : Calls
        Where stacks are entered.
    spare : int
        A descriptor that stays open; it does not matter of what.

    Attributes
    ----------
    on : bool
        Whether anything is noted: never in a forked child.
    step, phase : int
        Where the run is.
    descriptors : dict of int to Opening
        What was opened last under each number.
    doubtful : list of Opening
        What several threads opened, of which the numbers are not sure.
    objects : list of (weakref, Opening)
        Tasks, executors, connections of DuckDB.
    databases : dict of int to Opening
        Connections of sqlite3, by address.
    threads, processes : dict of int to Opening
        By the system's number.
    paths : list of (str, Opening)
        Temporary files and folders.
    """

    def __init__(self, calls: Calls, spare: int) -> None:
        self.calls, self._spare = calls, spare
        self.on, self.step, self.phase = False, 0, 0
        self.descriptors: dict[int, Opening] = {}
        self.doubtful: list[Opening] = []
        self.objects: list[tuple[weakref.ref[Any], Opening]] = []
        self.databases: dict[int, Opening] = {}
        self.threads: dict[int, Opening] = {}
        self.processes: dict[int, Opening] = {}
        self.paths: list[tuple[str, Opening]] = []

    def made(self, kind: str, inode: int = 0, path: Any = None, skip: int = 2) -> Opening:
        """Return an opening by the calling thread, now; `skip` of its frames are ours."""
        node = self.calls.here(skip)
        return Opening(node, kind, path, inode, None, self.step, self.phase, get_ident())

    def file(self, number: int, path: Any, thing: Any = None) -> None:
        """Note a file that a wrapped call returned, with the object that closes it."""
        # Spelled out: this is what happens most often.
        node, ref = self.calls.here(2), None if thing is None else weakref.ref(thing)
        self.descriptors[number] = Opening(
            node, "", path, 0, ref, self.step, self.phase, get_ident()
        )

    def opened(self, number: int, kind: str) -> None:
        """Note another descriptor that a wrapped call returned."""
        self.descriptors[number] = self.made(kind, inode=fstat(number).st_ino, skip=3)

    def created(self, kind: str, thing: Any) -> None:
        """Note an object that a wrapped call returned."""
        self.objects.append((weakref.ref(thing), self.made(kind, skip=3)))

    def next_number(self) -> int:
        """Return the number that the next descriptor will have, or `NO_NUMBER`."""
        try:
            number = dup(self._spare)
            close(number)
            return number
        except OSError:  # there is none left, or somebody closed the spare one
            return NO_NUMBER

    def guessed(self, number: int, made: Opening) -> None:
        """Note what a library opened during a wrapped call, under the number that it seems to have.

        Parameters
        ----------
        number : int
            What `next_number` returned before.
        made : Opening
            Of one of the kinds in `GUESSED`.
        """
        before = self.descriptors.get(number)
        contested = before is not None and before.thread != made.thread and before.kind == made.kind
        if contested or number == NO_NUMBER:
            self.descriptors.pop(number, None)
            room = _MOST_DOUBTFUL - len(self.doubtful)
            self.doubtful += [one for one in (before, made) if one is not None][:room]
        else:
            self.descriptors[number] = made

    def take(self) -> tuple[dict[int, Opening], list[Opening]]:
        """Return what was noted of descriptors, for sure and in doubt, and begin anew."""
        taken = self.descriptors, self.doubtful
        self.descriptors, self.doubtful = {}, []
        return taken
