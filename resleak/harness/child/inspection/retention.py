"""What grows, and the shortest path from a root to what of it has stayed: once, after the load."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from resleak.harness.child.inspection import object_graph
from resleak.harness.child.inspection.object_graph import Graph, Root

#: Types that are looked at, objects of each that are followed to a root, paths told of each; and
#: paths told in all.
_TYPES, _SAMPLES, _PATHS = 40, 60, 3
_ROWS = 24
#: Objects per step below which a type does not grow; one in fifty steps.
_LEAST = 0.02


class Retention:
    """Compares what there is at three settled marks of the steady phase.

    What was made between the first mark and the second and is there at the third has stayed. A
    cache that is full, or an object that the next step replaces, is not among it.
    """

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._counts: list[Counter[type]] = []
        self._first: set[int] = set()
        self._second: dict[int, type] = {}

    def mark(
        self, step: int, named: Iterable[Root], ours: Iterable[Any], hidden: set[int]
    ) -> list[dict[str, Any]]:
        """Take stock at a settled mark; the third one returns what has stayed, and who holds it.

        Parameters
        ----------
        step : int
            Steps done so far.
        named, ours, hidden
            What the set-up holds, what measures, and its threads: see `graph`.
        """
        notes = [self, vars(self), *vars(self).values()]
        found = Graph(object_graph.roots(named, hidden), ours, notes)
        kinds = {key: type(node) for key, node in found.nodes.items()}
        self._steps.append(step)
        self._counts.append(Counter(kinds.values()))
        if len(self._steps) == 1:
            self._first = set(kinds)
        elif len(self._steps) == 2:
            self._second = {key: of for key, of in kinds.items() if key not in self._first}
        else:
            return self._rows(found)
        return []

    def _rows(self, found: Graph) -> list[dict[str, Any]]:
        stayed: dict[type, list[int]] = {}
        for key, node in found.nodes.items():
            if self._second.get(key) is type(node):
                stayed.setdefault(type(node), []).append(key)
        rows = [
            row
            for of, rate in self._growing()
            if len(stayed.get(of, ())) > 1
            for row in self._paths(of, rate, stayed[of], found)
        ]
        return sorted(rows, key=lambda row: (-_carried(row, rows), len(row["path"])))[:_ROWS]

    def _growing(self) -> list[tuple[type, float]]:
        """Return the types of which there are more at each mark, with their growth per step."""
        first, second, third = self._counts
        steps = self._steps[-1] - self._steps[0]
        grown = {of: (third[of] - first[of]) / steps for of in third}
        both = [of for of in third if first[of] < second[of] < third[of] and grown[of] >= _LEAST]
        return sorted(((of, grown[of]) for of in both), key=lambda one: -one[1])[:_TYPES]

    def _paths(
        self, of: type, rate: float, stayed: list[int], found: Graph
    ) -> list[dict[str, Any]]:
        samples = stayed[:: max(1, len(stayed) // _SAMPLES)][:_SAMPLES]
        paths = Counter(map(found.path, samples))
        told = {"type": of.__qualname__, "count": self._counts[-1][of], "per_step": rate}
        return [
            {**told, "path": path, "share": count / len(samples), "samples": len(samples)}
            for path, count in paths.most_common(_PATHS)
        ]


def _carried(row: dict[str, Any], rows: list[dict[str, Any]]) -> float:
    """Return how many objects per step hang on a path: those whose path goes on from it."""
    return float(
        sum(o["per_step"] * o["share"] for o in rows if o["path"].startswith(row["path"]))
        * row["share"]
    )
