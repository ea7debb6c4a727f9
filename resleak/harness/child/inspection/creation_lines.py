"""The lines that make objects, from tracemalloc, which also follows memory that is used again."""

from __future__ import annotations

import _thread
import gc
import sysconfig
import tracemalloc
from collections import Counter, deque
from collections.abc import Mapping
from functools import cache
from itertools import islice
from typing import Any

from resleak.harness.child.inspection import call_stacks
from resleak.harness.child.inspection.object_graph import LEAVES

#: File and line; empty if unknown.
Line = tuple[str, int]
#: Frames kept of each allocation: enough to get from a library to its caller.
_DEPTH = 24
#: Most objects whose line is looked up: of a type, of what one container has, and in all.
_MOST, _MOST_PARTS, _MOST_LINES = 200, 60, 5000
_CONTAINERS = (dict, list, set, deque)
_LIBRARY = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib"))
_PACKAGES = ("site-packages", "dist-packages")


class CreationLines:
    """The lines of the objects that appear between two marks; nothing is followed outside."""

    def __init__(self) -> None:
        self._known: set[int] = set()
        #: Containers that the collector does not list.
        self._unlisted: dict[int, Any] = {}
        self._sizes: dict[int, int] = {}
        self._lines: dict[int, Line] = {}
        self._counts: Counter[type] = Counter()
        self._is_ours = False

    def start(self, nodes: Mapping[int, Any]) -> None:
        """Follow allocations from here on, where these objects are known."""
        self._known = set(nodes)
        containers = {key: one for key, one in nodes.items() if type(one) in _CONTAINERS}
        self._sizes = {key: len(one) for key, one in containers.items()}
        # Dicts of texts and numbers, and what was loaded before the workload.
        listed = {id(one) for one in gc.get_objects()}
        self._unlisted = {key: one for key, one in containers.items() if key not in listed}
        self._is_ours = not tracemalloc.is_tracing()
        if self._is_ours:
            tracemalloc.start(_DEPTH)

    def stop(self, ours: set[int]) -> None:
        """Look up the lines of what is new, and follow no longer: a census would take too long.

        `ours` are the ids of our own objects, of which there are many.
        """
        # Each allocation is followed with its stack: in a thread of its own that is short.
        done = _thread.allocate_lock()
        done.acquire()
        _thread.start_new_thread(self._look_up, (ours, done))
        done.acquire()
        # The next census must not find that these have grown.
        self._known, self._sizes, self._unlisted, self._counts = set(), {}, {}, Counter()
        if self._is_ours:
            tracemalloc.stop()

    def _look_up(self, ours: set[int], done: Any) -> None:
        try:
            listed = {id(one): one for one in gc.get_objects()}
            for key, one in (listed | self._unlisted).items():
                if key not in ours and (key not in self._known or self._has_grown(key, one)):
                    for part in self._look_at(one):
                        is_bare = type(part) in (dict, tuple) and not gc.is_tracked(part)
                        if is_bare and id(part) not in ours:
                            self._look_at(part)
        finally:
            done.release()

    def _has_grown(self, key: int, thing: Any) -> bool:
        return type(thing) in _CONTAINERS and len(thing) > self._sizes.get(key, len(thing))

    def _look_at(self, thing: Any) -> list[Any]:
        """Note the lines of an object, if it is new, and of what else is new in it; return that."""
        of = type(thing)
        if id(thing) not in self._known and self._counts[of] < _MOST:
            self._counts[of] += 1
            self._note(thing)
        new = [part for part in gc.get_referents(thing) if id(part) not in self._known]
        for part in islice((part for part in new if type(part) in LEAVES), _MOST_PARTS):
            self._note(part)
        return new

    def of(self, key: int) -> Line:
        """Return the line that made an object, given by its `id`."""
        return self._lines.get(key, ("", 0))

    def known(self, keys: list[int]) -> list[int]:
        """Return the objects whose line was looked up, or all if there are none."""
        return [key for key in keys if key in self._lines] or keys

    def _note(self, thing: Any) -> None:
        key = id(thing)
        if key not in self._lines and len(self._lines) < _MOST_LINES and (line := _line(thing))[0]:
            self._lines[key] = line


def _line(thing: Any) -> Line:
    """Return file and line of the innermost call outside of libraries, else of the innermost."""
    frames = [*reversed(tracemalloc.get_object_traceback(thing) or ())]
    theirs = [frame for frame in frames if not call_stacks.is_ours(frame.filename)]
    own = (frame for frame in theirs if not _is_library(frame.filename))
    found = next(own, theirs[0] if theirs else None)
    return (found.filename, found.lineno) if found else ("", 0)


@cache
def _is_library(file: str) -> bool:
    return file.startswith(("<frozen", *_LIBRARY)) or any(part in file for part in _PACKAGES)
