"""The open descriptors of this process, and the calls that opened them, where certain."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from resleak.harness.child.handles import procfs
from resleak.harness.child.handles.attribution import GUESSED, Opening
from resleak.harness.child.handles.call_stacks import UNKNOWN, Calls

#: Files that SQLite opens beside a database, when it first needs them.
_BESIDE = ("-wal", "-shm", "-journal")
#: Kinds of files, which can be deleted while they are open.
_NAMED = ("file", "map", "sqlite3")
#: The handle of descriptors that were open at the start.
BASELINE = -1


class Found(NamedTuple):
    """A descriptor that is new, or reused for something else."""

    number: int
    status: os.stat_result
    kind: str
    target: str
    node: int
    opening: Opening | None


class _Known(NamedTuple):
    handle: int
    identity: tuple[int, int]
    kind: str
    target: str
    node: int
    has_name: bool


class Descriptors:
    """Open descriptors by number, compared from census to census."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._known: dict[int, _Known] = {}
        for number, status in procfs.descriptors():
            self.ignore(number, status)

    def ignore(self, number: int, status: os.stat_result) -> None:
        """Treat a descriptor as one of ours."""
        self._known[number] = _Known(BASELINE, _identity(status), "", "", UNKNOWN, False)

    def look(
        self,
        noted: Mapping[int, Opening],
        doubtful: Iterable[Opening],
        enter: Callable[[Found], int],
    ) -> tuple[list[int], list[int]]:
        """Enter what is new under a handle; return handles of the closed, and of deleted files."""
        fresh, gone, deleted, present = [], [], [], set()
        doubtful = [*doubtful, *(opening for opening in noted.values() if opening.kind in GUESSED)]
        for number, status in procfs.descriptors():
            present.add(number)
            before, opening = self._known.get(number), noted.get(number)
            # Noted again, so the number was free: its earlier descriptor is closed.
            if before is not None and opening is None and before.identity == _identity(status):
                if before.has_name and not status.st_nlink:
                    self._known[number] = before._replace(has_name=False)
                    deleted.append(before.handle)
                continue
            if before is not None:
                gone.append(self._known.pop(number).handle)
            fresh.append(self._explained(number, status, opening, doubtful))
        gone += [self._known.pop(number).handle for number in self._known.keys() - present]
        for one in [self._beside(one, fresh) for one in fresh]:
            handle, has_name = enter(one), one.kind in _NAMED
            if has_name and not one.status.st_nlink:
                has_name = False
                deleted.append(handle)
            about = one.kind, one.target, one.node, has_name
            self._known[one.number] = _Known(handle, _identity(one.status), *about)
        return [handle for handle in gone if handle != BASELINE], deleted

    def _explained(
        self,
        number: int,
        status: os.stat_result,
        opening: Opening | None,
        doubtful: Iterable[Opening],
    ) -> Found:
        kind, target = procfs.kind_of(number, status)
        if opening is not None and _fits(opening, status, kind, target):
            return Found(number, status, opening.kind or kind, target, opening.node, opening)
        fitting = [one for one in doubtful if _fits(one, status, kind, target)]
        if not fitting:
            return Found(number, status, kind, target, UNKNOWN, None)
        node = self._calls.shared(one.node for one in fitting)
        return Found(number, status, fitting[0].kind or kind, target, node, fitting[0])

    def _beside(self, one: Found, fresh: list[Found]) -> Found:
        """Return a file that SQLite opened by itself with the stack of its connection."""
        ends = (end for end in _BESIDE if one.target.endswith(end))
        base = one.target.removesuffix(next(ends, one.target))
        if one.node != UNKNOWN or not base:
            return one
        every: list[_Known | Found] = [*self._known.values(), *fresh]
        nodes = {other.node for other in every if (other.kind, other.target) == ("sqlite3", base)}
        if not nodes or UNKNOWN in nodes:
            return one
        return one._replace(kind="sqlite3", node=self._calls.shared(nodes))


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _fits(opening: Opening, status: os.stat_result, kind: str, target: str) -> bool:
    """Return True if a descriptor can be the result of a call."""
    if opening.inode:
        # All descriptors without a file have the same inode.
        return opening.inode == status.st_ino and opening.kind in ("", "map", "sqlite3", kind)
    if opening.thing is not None:  # the object that closes it; of os.open there is none
        thing = opening.thing()
        with suppress(ValueError):  # detached: another object closes it
            if thing is None or thing.closed:
                return False
    return _is_at(opening.path, status, target)


def _is_at(path: Any, status: os.stat_result, target: str) -> bool:
    try:
        name = os.fsdecode(path)
    except TypeError:  # not a path: nothing can be compared
        return False
    if name.startswith("file:"):  # a URI, as SQLite takes them
        name = name.removeprefix("file:").partition("?")[0]
    if os.path.abspath(name) == target:
        return True
    there = procfs.status_of(name)
    if there is None:  # renamed or deleted since, or never there
        return os.path.basename(name) == os.path.basename(target)
    # A nameless temporary file is opened by naming its folder.
    return os.path.samestat(there, status) or os.path.dirname(target) == os.path.realpath(name)
