"""Find growing types, and the shortest reference chain to their retained objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from resleak.harness.child.inspection import object_graph
from resleak.harness.child.inspection.object_graph import Graph, Root

#: Most types examined, objects of each traced to a root, and paths reported per type.
_TYPES, _SAMPLES, _PATHS = 40, 60, 3
_ROWS = 24
#: Objects per step below which a type does not grow; one in fifty steps.
_LEAST = 0.02


class Retention:
    """Compares the objects at three settled marks of the steady phase.

    An object created between the first and the second mark and still there at the third is
    retained; full caches and objects that the next step replaces are not among them.
    """

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._counts: list[Counter[type]] = []
        self._first: set[int] = set()
        self._second: dict[int, type] = {}

    def mark(
        self, step: int, named: Iterable[Root], ours: Iterable[Any], hidden: set[int]
    ) -> list[dict[str, Any]]:
        """Count objects at a settled mark; the third one returns the retained ones."""
        notes = [self, vars(self), *vars(self).values()]
        graph = Graph(object_graph.roots(named, hidden), ours, notes)
        kinds = {key: type(node) for key, node in graph.nodes.items()}
        self._steps.append(step)
        self._counts.append(Counter(kinds.values()))
        if len(self._steps) == 1:
            self._first = set(kinds)
        elif len(self._steps) == 2:
            self._second = {key: of for key, of in kinds.items() if key not in self._first}
        else:
            return self._rows(graph)
        return []

    def _rows(self, graph: Graph) -> list[dict[str, Any]]:
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
        return sorted(rows, key=lambda row: (-_carried(row, rows), len(row["path"])))[:_ROWS]

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
        samples = stayed[:: max(1, len(stayed) // _SAMPLES)][:_SAMPLES]
        paths = Counter(map(graph.path, samples))
        facts = {"type": of.__qualname__, "count": self._counts[-1][of], "per_step": rate}
        return [
            {**facts, "path": path, "share": count / len(samples), "samples": len(samples)}
            for path, count in paths.most_common(_PATHS)
        ]


def _carried(row: dict[str, Any], rows: list[dict[str, Any]]) -> float:
    """Return the objects per step whose path continues a path."""
    return float(
        sum(o["per_step"] * o["share"] for o in rows if o["path"].startswith(row["path"]))
        * row["share"]
    )
