"""Find growing types and their shortest reference chains, by censuses at each third of the load."""

from __future__ import annotations

import _thread
import gc
import sysconfig
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import islice
from types import AsyncGeneratorType, GeneratorType
from typing import Any

from resleak.harness.child.inspection import call_stacks, cycles, object_graph
from resleak.harness.child.inspection.bounded import CONTAINERS, Filling
from resleak.harness.child.inspection.object_graph import LEAVES, Graph, Root

#: File and line; empty if unknown.
Line = tuple[str, int]
#: Frames kept of each allocation: enough to get from a library to its caller.
_DEPTH = 24
#: Most objects whose line is looked up: of a type, of what one container has, and in all.
_MOST, _MOST_PARTS, _MOST_LINES = 200, 60, 5000
_LIBRARY = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib"))
_PACKAGES = ("site-packages", "dist-packages")
#: Most types examined, objects of each traced to a root, and paths reported per type.
_TYPES, _SAMPLES, _PATHS = 40, 60, 3
_ROWS = 24
#: Objects per step below which a type does not grow; one in fifty steps.
_LEAST = 0.02
_THIRDS = 3
_GENERATORS = (GeneratorType, AsyncGeneratorType)


class Retention:
    """Compares the objects at each third of the load, when the driver of a run allows it."""

    def __init__(
        self, facts: dict[str, Any], ours: Callable[[], tuple[list[Any], set[int]]]
    ) -> None:
        self._facts, self._ours = facts, ours
        self._lines, self._filling, self._thirds = _CreationLines(), Filling(), 0
        #: Steps done at the first census.
        self._begun = 0
        self._counts: list[Counter[type]] = []
        self._first: set[int] = set()
        self._second: dict[int, type] = {}
        #: Steps done when the collector was stopped; None while it runs as it likes.
        self._stopped: int | None = None

    def census(self, driver: Any) -> None:
        """Take a census if it is due; the collector must have run, or runs right after."""
        done = driver.samples.done - driver.spec["warmup"]
        if self._stopped is not None and done > self._stopped:
            self._facts["cycles"] = cycles.collect(done - self._stopped)
            self._stopped = None
            gc.enable()
        thirds = min(done * _THIRDS // driver.spec["steps"], _THIRDS)  # three marks, no more
        if thirds > self._thirds:
            gc.collect()
            self._thirds = thirds
            if thirds == 2:
                self._lines.stop({id(one) for one in self._notes()})
            graph = self._graph(driver)
            self._begun = self._begun or done
            self._facts["bounded"] = self._filling.mark(done - self._begun, graph)
            self._facts["retention"] = self._mark(done - self._begun, graph)
            if thirds == 1 and gc.isenabled():
                gc.disable()
                self._stopped = done
            if thirds == 1:
                self._lines.start(graph.nodes)

    def _graph(self, driver: Any) -> Graph:
        ours, threads = self._ours()
        named = [*_set_up(driver)]
        return Graph(object_graph.roots(named, threads), [*ours, self], self._notes())

    def _notes(self) -> list[Any]:
        """Return our records of earlier marks."""
        ours = (self, self._filling, self._lines)
        parts = [part for one in ours for part in (vars(one), *vars(one).values())]
        return [*ours, *parts, *(one for part in parts if type(part) is list for one in part)]

    def _mark(self, steps: int, graph: Graph) -> list[dict[str, Any]]:
        """Count objects, `steps` after the first census; the third one returns the retained."""
        self._counts.append(Counter(map(type, graph.nodes.values())))
        if len(self._counts) == 1:
            self._first = set(graph.nodes)
        elif len(self._counts) == 2:
            new = graph.nodes.items()
            self._second = {key: type(node) for key, node in new if key not in self._first}
        else:
            return self._rows(steps, graph)
        return []

    def _rows(self, steps: int, graph: Graph) -> list[dict[str, Any]]:
        # Created between the first two marks and still there: no full cache, and nothing that the
        # next step replaces.
        stayed: dict[type, list[int]] = {}
        for key, node in graph.nodes.items():
            if self._second.get(key) is type(node):
                stayed.setdefault(type(node), []).append(key)
        rows = [
            row
            for of, rate in self._growing(steps)
            if len(stayed.get(of, ())) > 1
            for row in self._paths(of, rate, stayed[of], graph)
        ]

        def carried(row: dict[str, Any]) -> float:
            """Return the objects per step whose path continues a path."""
            longer = [other for other in rows if other["path"].startswith(row["path"])]
            return float(sum(o["per_step"] * o["share"] for o in longer) * row["share"])

        return sorted(rows, key=lambda row: (-carried(row), len(row["path"])))[:_ROWS]

    def _growing(self, steps: int) -> list[tuple[type, float]]:
        """Return the types with more objects at each mark, with their growth per step."""
        first, second, third = self._counts
        grown = {of: (third[of] - first[of]) / steps for of in third}
        both = [of for of in third if first[of] < second[of] < third[of] and grown[of] >= _LEAST]
        return sorted(((of, grown[of]) for of in both), key=lambda one: -one[1])[:_TYPES]

    def _paths(
        self, of: type, rate: float, stayed: list[int], graph: Graph
    ) -> list[dict[str, Any]]:
        lines = self._lines.lines
        stayed = [key for key in stayed if key in lines] or stayed
        samples = stayed[:: max(1, len(stayed) // _SAMPLES)][:_SAMPLES]
        found = Counter((graph.path(one), lines.get(one, ("", 0))) for one in samples)
        facts = {"type": of.__qualname__, "count": self._counts[-1][of], "per_step": rate}
        facts["samples"] = len(samples)
        return [
            {**facts, "path": path, "made": made, "share": count / len(samples)}
            for (path, made), count in found.most_common(_PATHS)
        ]


def _set_up(driver: Any) -> Iterator[Root]:
    """Yield the fixture, and the set-up's generator, whose variables live on."""
    yield "set-up", driver.fixture
    code = getattr(driver.scenario.setup_function, "__code__", "")
    generators = [one for one in gc.get_objects() if isinstance(one, _GENERATORS)]
    for one in generators:
        if code in (getattr(one, "gi_code", None), getattr(one, "ag_code", None)):
            yield "set-up", one


class _CreationLines:
    """The lines of the objects that appear between two marks; nothing is followed outside."""

    def __init__(self) -> None:
        self._known: set[int] = set()
        #: Containers that the collector does not list.
        self._unlisted: dict[int, Any] = {}
        self._sizes: dict[int, int] = {}
        #: By the id of what they made.
        self.lines: dict[int, Line] = {}
        self._counts: Counter[type] = Counter()
        self._is_ours = False

    def start(self, nodes: Mapping[int, Any]) -> None:
        """Follow allocations from here on, where these objects are known."""
        self._known = set(nodes)
        containers = {key: one for key, one in nodes.items() if type(one) in CONTAINERS}
        self._sizes = {key: len(one) for key, one in containers.items()}
        # Dicts of texts and numbers, and what was loaded before the workload.
        listed = {id(one) for one in gc.get_objects()}
        self._unlisted = {key: one for key, one in containers.items() if key not in listed}
        self._is_ours = not tracemalloc.is_tracing()
        if self._is_ours:
            tracemalloc.start(_DEPTH)

    def stop(self, ours: set[int]) -> None:
        """Look up the lines of what is new but for `ours`, ids of our many objects, and stop."""
        # Each allocation is followed with its stack: in a thread of its own that is short. During
        # a census it would take too long.
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
        return type(thing) in CONTAINERS and len(thing) > self._sizes.get(key, len(thing))

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

    def _note(self, thing: Any) -> None:
        key = id(thing)
        if key not in self.lines and len(self.lines) < _MOST_LINES and (line := _line(thing))[0]:
            self.lines[key] = line


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
