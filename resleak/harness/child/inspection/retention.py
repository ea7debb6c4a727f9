"""Find growing types and their shortest reference chains, by censuses at each third of the load."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from types import AsyncGeneratorType, GeneratorType
from typing import Any

from resleak.harness.child.inspection import cycles, object_graph
from resleak.harness.child.inspection.bounded import Filling
from resleak.harness.child.inspection.creation_lines import CreationLines
from resleak.harness.child.inspection.object_graph import Graph, Root

#: Most types examined, objects of each traced to a root, and paths reported per type.
_TYPES, _SAMPLES, _PATHS = 40, 60, 3
_ROWS = 24
#: Objects per step below which a type does not grow; one in fifty steps.
_LEAST = 0.02
_THIRDS = 3
_GENERATORS = (GeneratorType, AsyncGeneratorType)


class Retention:
    """Compares the objects at three settled marks of the steady phase."""

    def __init__(self, lines: CreationLines) -> None:
        self._lines = lines
        self._steps: list[int] = []
        self._counts: list[Counter[type]] = []
        self._first: set[int] = set()
        self._second: dict[int, type] = {}

    def mark(self, step: int, graph: Graph) -> list[dict[str, Any]]:
        """Count objects at a settled mark; the third one returns the retained ones."""
        self._steps.append(step)
        self._counts.append(Counter(map(type, graph.nodes.values())))
        if len(self._steps) == 1:
            self._first = set(graph.nodes)
        elif len(self._steps) == 2:
            new = graph.nodes.items()
            self._second = {key: type(node) for key, node in new if key not in self._first}
        else:
            return self._rows(graph)
        return []

    def _rows(self, graph: Graph) -> list[dict[str, Any]]:
        # Created between the first two marks and still there: no full cache, and nothing that the
        # next step replaces.
        stayed: dict[type, list[int]] = {}
        for key, node in graph.nodes.items():
            if self._second.get(key) is type(node):
                stayed.setdefault(type(node), []).append(key)
        rows = [
            row
            for of, rate in self._growing()
            if len(stayed.get(of, ())) > 1
            for row in self._paths(of, rate, stayed[of], graph)
        ]

        def carried(row: dict[str, Any]) -> float:
            """Return the objects per step whose path continues a path."""
            longer = [other for other in rows if other["path"].startswith(row["path"])]
            return float(sum(o["per_step"] * o["share"] for o in longer) * row["share"])

        return sorted(rows, key=lambda row: (-carried(row), len(row["path"])))[:_ROWS]

    def _growing(self) -> list[tuple[type, float]]:
        """Return the types with more objects at each mark, with their growth per step."""
        first, second, third = self._counts
        steps = self._steps[-1] - self._steps[0]
        grown = {of: (third[of] - first[of]) / steps for of in third}
        both = [of for of in third if first[of] < second[of] < third[of] and grown[of] >= _LEAST]
        return sorted(((of, grown[of]) for of in both), key=lambda one: -one[1])[:_TYPES]

    def _paths(
        self, of: type, rate: float, stayed: list[int], graph: Graph
    ) -> list[dict[str, Any]]:
        stayed = self._lines.known(stayed)
        samples = stayed[:: max(1, len(stayed) // _SAMPLES)][:_SAMPLES]
        found = Counter((graph.path(one), self._lines.of(one)) for one in samples)
        facts = {"type": of.__qualname__, "count": self._counts[-1][of], "per_step": rate}
        facts["samples"] = len(samples)
        return [
            {**facts, "path": path, "made": made, "share": count / len(samples)}
            for (path, made), count in found.most_common(_PATHS)
        ]


class Schedule:
    """Takes a census between steps, when the driver of a run allows it."""

    def __init__(
        self, facts: dict[str, Any], ours: Callable[[], tuple[list[Any], set[int]]]
    ) -> None:
        self._facts, self._ours = facts, ours
        self._lines, self._filling, self._thirds = CreationLines(), Filling(), 0
        self._retention = Retention(self._lines)
        #: Steps done when the collector was stopped; None while it runs as it likes.
        self._stopped: int | None = None

    def at(self, driver: Any) -> None:
        """Take a census if it is due; the collector must have run, or runs right after."""
        done = driver.samples.done - driver.spec["warmup"]
        if self._stopped is not None and done > self._stopped:
            self._facts["cycles"] = cycles.collect(done - self._stopped)
            self._stopped = None
            gc.enable()
        thirds = done * _THIRDS // driver.spec["steps"]
        if thirds > self._thirds:
            gc.collect()
            self._thirds = thirds
            if thirds == 2:
                self._lines.stop({id(one) for one in self._notes()})
            graph = self._graph(driver)
            self._facts["bounded"] = self._filling.mark(done, graph)
            self._facts["retention"] = self._retention.mark(done, graph)
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
        ours = (self._retention, self._filling, self._lines)
        parts = [part for one in ours for part in (vars(one), *vars(one).values())]
        return [*ours, *parts, *(one for part in parts if type(part) is list for one in part)]


def _set_up(driver: Any) -> Iterator[Root]:
    """Yield the fixture, and the set-up's generator, whose variables live on."""
    yield "set-up", driver.fixture
    code = getattr(driver.scenario.setup_function, "__code__", "")
    generators = [one for one in gc.get_objects() if isinstance(one, _GENERATORS)]
    for one in generators:
        if code in (getattr(one, "gi_code", None), getattr(one, "ag_code", None)):
            yield "set-up", one
