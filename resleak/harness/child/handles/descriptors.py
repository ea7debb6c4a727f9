"""The open descriptors of this process, and for each the call that opened it, if that is sure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from resleak.harness.child.handles import procfs
from resleak.harness.child.handles.attribution import GUESSED, Opening
from resleak.harness.child.handles.call_stacks import UNKNOWN, Calls

#: Files that SQLite opens beside a database, when it first needs them.
_BESIDE = ("-wal", "-shm", "-journal")
#: Kinds of files, which can be deleted while they are open.
_NAMED = ("file", "map", "sqlite3")
#: The handle of what was open before anything was studied.
BASELINE = -1


class Found(NamedTuple):
    """A descriptor that was not there before, or is another now."""

    number: int
    kind: str
    target: str
    node: int
    made: Opening | None


class _Known(NamedTuple):
    handle: int
    identity: tuple[int, int]
    kind: str
    target: str
    node: int
    has_name: bool


class Descriptors:
    """What is open, by number, compared from look to look.

    Parameters
    ----------
    calls : Calls
        Where stacks are entered.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._known: dict[int, _Known] = {}
        self._deleted: list[int] = []
        for number, status in procfs.descriptors():
            self.ignore(number, status)

    def ignore(self, number: int, status: os.stat_result) -> None:
        """Take a descriptor for one of ours."""
        self._known[number] = _Known(BASELINE, _identity(status), "", "", UNKNOWN, False)

    def look(
        self, noted: Mapping[int, Opening], doubtful: Iterable[Opening]
    ) -> tuple[list[Found], list[int]]:
        """Return what is new, and the handles of what is gone.

        Parameters
        ----------
        noted, doubtful
            As `Binder.take` returns them.
        """
        found, gone, seen = [], [], set()
        doubtful = [*doubtful, *(made for made in noted.values() if made.kind in GUESSED)]
        for number, status in procfs.descriptors():
            seen.add(number)
            known, made = self._known.get(number), noted.get(number)
            # Noted anew, it was free before: what had it then is closed.
            if known is not None and made is None and known.identity == _identity(status):
                self._mind_name(number, known, status)
                continue
            if known is not None:
                gone.append(self._known.pop(number).handle)
            found.append(self._explained(number, status, made, doubtful))
        gone += [self._known.pop(number).handle for number in self._known.keys() - seen]
        return [self._beside(one, found) for one in found], [h for h in gone if h != BASELINE]

    def enter(self, found: Found, handle: int) -> None:
        """Remember what was found under the number of its handle."""
        try:
            status = os.fstat(found.number)
        except OSError:
            return
        about = found.kind, found.target, found.node, found.kind in _NAMED
        known = self._known[found.number] = _Known(handle, _identity(status), *about)
        self._mind_name(found.number, known, status)

    def deleted(self) -> list[int]:
        """Return the handles of files that were deleted since this was last asked for."""
        handles, self._deleted = self._deleted, []
        return handles

    def _mind_name(self, number: int, known: _Known, status: os.stat_result) -> None:
        if known.has_name and not status.st_nlink:
            self._known[number] = known._replace(has_name=False)
            self._deleted.append(known.handle)

    def _explained(
        self,
        number: int,
        status: os.stat_result,
        made: Opening | None,
        doubtful: Iterable[Opening],
    ) -> Found:
        kind, target = procfs.kind_of(number, status)
        if made is not None and _fits(made, status, kind, target):
            return Found(number, made.kind or kind, target, made.node, made)
        fitting = [one for one in doubtful if _fits(one, status, kind, target)]
        if not fitting:
            return Found(number, kind, target, UNKNOWN, None)
        node = self._calls.shared(one.node for one in fitting)
        return Found(number, fitting[0].kind or kind, target, node, fitting[0])

    def _beside(self, one: Found, found: list[Found]) -> Found:
        """Return a file that SQLite opened by itself with the stack of its connection."""
        ends = (end for end in _BESIDE if one.target.endswith(end))
        base = one.target.removesuffix(next(ends, one.target))
        if one.node != UNKNOWN or not base:
            return one
        every: list[_Known | Found] = [*self._known.values(), *found]
        nodes = {other.node for other in every if (other.kind, other.target) == ("sqlite3", base)}
        if not nodes or UNKNOWN in nodes:
            return one
        return one._replace(kind="sqlite3", node=self._calls.shared(nodes))


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _fits(made: Opening, status: os.stat_result, kind: str, target: str) -> bool:
    """Tell whether a descriptor can be what a call has opened."""
    if made.inode:
        # All descriptors without a file have the same inode.
        return made.inode == status.st_ino and made.kind in ("", "map", "sqlite3", kind)
    return _is_held(made) and _is_at(made.path, status, target)


def _is_held(made: Opening) -> bool:
    """Tell whether the object that closes the descriptor has not done so."""
    if made.thing is None:  # there is none, as of what os.open returns
        return True
    thing = made.thing()
    try:
        return thing is not None and not thing.closed
    except ValueError:  # detached: another object closes it
        return True


def _is_at(path: Any, status: os.stat_result, target: str) -> bool:
    try:
        asked = os.fsdecode(path)
    except TypeError:  # not a path: nothing can be compared
        return False
    if asked.startswith("file:"):  # a URI, as SQLite takes them
        asked = asked.removeprefix("file:").partition("?")[0]
    if os.path.abspath(asked) == target:
        return True
    try:
        there = os.stat(asked)
    except (OSError, ValueError):  # renamed or deleted since, or never there
        return os.path.basename(asked) == os.path.basename(target)
    # A nameless temporary file is opened by naming its folder.
    return os.path.samestat(there, status) or os.path.dirname(target) == os.path.realpath(asked)
