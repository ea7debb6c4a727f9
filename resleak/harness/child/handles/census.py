"""Compare, after each step, what a process has created with what is still open."""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from os import open as open_file  # before `patches` replaces it
from pathlib import Path
from typing import Any, NamedTuple

from resleak.captures.raw import HANDLES, PHASES
from resleak.harness.child.handles import patches, procfs
from resleak.harness.child.handles.attribution import GUESSED, UNKNOWN, Binder, Calls, Opening

#: Files that SQLite opens beside a database, when it first needs them.
_BESIDE = ("-wal", "-shm", "-journal")
#: Kinds of files, which can be deleted while they are open.
_NAMED = ("file", "map", "sqlite3")
#: The handle of descriptors that were open at the start.
BASELINE = -1


def start(folder: Path, outer: Iterable[str]) -> Census:
    """Start to record what this process creates; it never ends."""
    calls = Calls(outer)
    log = Log(folder / HANDLES)
    binder = Binder(calls, log.number)
    patches.install(binder)
    census = Census(binder, log)
    nothing = {"at": [0, 0], "nodes": [], "opened": [], "closed": []}
    log.write({**nothing, "main": threading.get_ident(), "phases": PHASES})
    os.register_at_fork(after_in_child=lambda: setattr(binder, "on", False))
    binder.on = True
    return census


class Log:
    """Lines of JSON in a file; a kill loses none that was written before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open()

    def write(self, line: Mapping[str, Any]) -> bool:
        """Append a line; return True if that needed a new descriptor."""
        is_ours = False
        with suppress(OSError):  # the studied code may have closed it, or reused its number
            is_ours = os.path.samestat(os.fstat(self.number), self.status)
        if not is_ours:
            self._open()
        os.write(self.number, json.dumps(line, separators=(",", ":")).encode() + b"\n")
        return not is_ours

    def _open(self) -> None:
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        self.number = open_file(self._path, flags, 0o600)
        self.status = os.fstat(self.number)


class Census:
    """Finds resources that are new or gone, and writes them down."""

    def __init__(self, binder: Binder, log: Log) -> None:
        self.binder, self._log = binder, log
        self._calls = binder.calls
        self._descriptors = _Descriptors(binder)
        self._threads = dict.fromkeys(procfs.threads(), -1)
        self._processes: dict[int, int] = {}
        self._started: set[int] = set()
        self._objects: dict[int, tuple[weakref.ref[Any], str]] = {}
        self._databases: dict[int, int] = {}
        self._paths: dict[str, int] = {}
        self._handles = self._nodes = 0
        self._opened: list[list[Any]] = []
        self._closed: list[int] = []
        self._deleted: list[int] = []

    def look(self, phase: int, step: int, mark: int | None = None, *, whole: bool = False) -> None:
        """Write down what has changed since the last call, as part of the step that is over."""
        collecting = gc.isenabled()
        gc.disable()  # when the studied code's cycles are collected is its own affair
        try:
            closed, deleted = self._descriptors.look(self._enter)
            self._closed += closed
            self._deleted += deleted
            self._look_at_objects()
            with suppress(OSError):  # no descriptor left to list them with: the next look finds all
                threads = self.binder.running(set(procfs.threads()))
                self._look_at_numbered("thread", self._threads, self.binder.threads, threads)
                if whole or mark is not None:
                    self._look_at_processes()
            if whole or mark is not None:
                databases = self.binder.databases
                if databases or self._databases:
                    now = _open_databases()
                    self._look_at_numbered("connection", self._databases, databases, now)
                self._look_at_paths()
            self._write([step, phase], mark)
        except OSError:  # no descriptor left to write with: the next look finds it all
            return
        finally:
            self.binder.phase, self.binder.step = phase, step + 1
            if collecting:
                gc.enable()

    def _write(self, at: list[int], mark: int | None) -> None:
        nodes = self._calls.nodes[self._nodes :]
        if mark is None and not (nodes or self._opened or self._closed or self._deleted):
            return
        line = {"at": at, "nodes": nodes, "opened": self._opened, "closed": self._closed}
        line["deleted"] = self._deleted
        if self._log.write(line if mark is None else {**line, "mark": mark}):
            self._descriptors.ignore(self._log.number, self._log.status)
        self._nodes += len(nodes)
        self._opened, self._closed, self._deleted = [], [], []

    def _enter(
        self, kind: str, target: str, opening: Opening | None, node: int | None = None
    ) -> int:
        at = opening or self.binder
        where = opening.node if node is None and opening is not None else node
        thread = opening.thread if opening else 0
        row = [self._handles, kind, target, UNKNOWN if where is None else where]
        self._opened.append([*row, at.step, at.phase, thread])
        self._handles += 1
        return self._handles - 1

    def _look_at_objects(self) -> None:
        new, self.binder.objects = self.binder.objects, []
        for ref, opening in new:
            if not _ended(ref(), opening.kind):
                self._objects[self._enter(opening.kind, "", opening)] = ref, opening.kind
        for handle in [h for h, (ref, kind) in self._objects.items() if _ended(ref(), kind)]:
            del self._objects[handle]
            self._closed.append(handle)

    def _look_at_numbered(
        self, kind: str, handles: dict[int, int], openings: dict[int, Opening], now: set[int]
    ) -> None:
        """Write down new and ended threads, processes or connections, known by a number."""
        self._drop(handles, now - openings.keys())
        for number in now - handles.keys():
            one = openings.pop(number, None)
            # Not ours, and yet a child of this process: it descends from one that was.
            is_orphan = kind == "process" and one is None and self._started
            above = self._calls.shared(self._started) if is_orphan else None
            name = "" if kind == "connection" else procfs.name(number)
            handles[number] = self._enter(kind, name, one, above)
        for number in [n for n, one in openings.copy().items() if one.step < self.binder.step]:
            openings.pop(number, None)  # it ended between two looks

    def _look_at_processes(self) -> None:
        openings = self.binder.processes
        self._started.update(one.node for one in openings.copy().values())
        self._look_at_numbered("process", self._processes, openings, procfs.children())

    def _look_at_paths(self) -> None:
        new, self.binder.paths = self.binder.paths, []
        self._drop(self._paths, {path for path in self._paths if os.path.lexists(path)})
        for path, opening in new:
            if path not in self._paths and os.path.lexists(path):
                self._paths[path] = self._enter(opening.kind, os.fsdecode(path), opening)

    def _drop(self, handles: dict[Any, int], still: set[Any]) -> None:
        """Close what is gone; a reused number is in neither set."""
        gone = [handles.pop(key) for key in handles.keys() - still]
        self._closed += [handle for handle in gone if handle >= 0]


class _Found(NamedTuple):
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


class _Descriptors:
    """Open descriptors by number, compared from census to census."""

    def __init__(self, binder: Binder) -> None:
        self._binder, self._calls = binder, binder.calls
        self._known: dict[int, _Known] = {}
        for number, status in procfs.descriptors():
            self.ignore(number, status)

    def ignore(self, number: int, status: os.stat_result) -> None:
        self._known[number] = _Known(BASELINE, _identity(status), "", "", UNKNOWN, False)

    def look(
        self, enter: Callable[[str, str, Opening | None, int], int]
    ) -> tuple[list[int], list[int]]:
        """Enter what is new under a handle; return handles of the closed, and of deleted files."""
        fresh, gone, deleted, present = [], [], [], set()
        noted, self._binder.descriptors = self._binder.descriptors, {}
        doubtful, self._binder.doubtful = self._binder.doubtful, []
        doubtful += [opening for opening in noted.values() if opening.kind in GUESSED]
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
            kind, target = procfs.kind_of(number, status)
            if opening is not None and _fits(opening, status, kind, target):
                fitting = [opening]
            else:
                fitting = [one for one in doubtful if _fits(one, status, kind, target)]
            node = self._calls.shared(one.node for one in fitting)
            first = fitting[0] if fitting else None
            kind = (first and first.kind) or kind
            fresh.append(_Found(number, status, kind, target, node, first))
        gone += [self._known.pop(number).handle for number in self._known.keys() - present]
        for one in [self._beside(one, fresh) for one in fresh]:
            handle = enter(one.kind, one.target, one.opening, one.node)
            has_name = one.kind in _NAMED
            if has_name and not one.status.st_nlink:
                has_name = False
                deleted.append(handle)
            about = one.kind, one.target, one.node, has_name
            self._known[one.number] = _Known(handle, _identity(one.status), *about)
        return [handle for handle in gone if handle != BASELINE], deleted

    def _beside(self, one: _Found, fresh: list[_Found]) -> _Found:
        """Return a file that SQLite opened by itself with the stack of its connection."""
        ends = (end for end in _BESIDE if one.target.endswith(end))
        base = one.target.removesuffix(next(ends, one.target))
        if one.node != UNKNOWN or not base:
            return one
        every: list[_Known | _Found] = [*self._known.values(), *fresh]
        nodes = {other.node for other in every if (other.kind, other.target) == ("sqlite3", base)}
        if not nodes or UNKNOWN in nodes:
            return one
        return one._replace(kind="sqlite3", node=self._calls.shared(nodes))


def _ended(thing: Any, kind: str) -> bool:
    """Return True if an object is gone or has been closed."""
    if thing is None:
        return True
    if kind == "task":
        return bool(thing.done())
    if kind == "executor":
        return bool(getattr(thing, "_shutdown", getattr(thing, "_shutdown_thread", False)))
    with suppress(Exception):
        thing.query_progress()  # DuckDB answers as long as a connection is open
        return False
    return True


def _open_databases() -> set[int]:
    """Return the addresses of the open connections of sqlite3."""
    module = sys.modules.get("sqlite3")
    if module is None:
        return set()
    kind, closed = module.Connection, module.ProgrammingError
    changes: Callable[[Any], int] = kind.total_changes.__get__

    def is_open(thing: Any) -> bool:
        with suppress(closed):
            changes(thing)
            return True
        return False

    return {id(t) for t in gc.get_objects() if issubclass(type(t), kind) and is_open(t)}


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
