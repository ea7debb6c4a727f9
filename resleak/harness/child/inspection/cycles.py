"""Find reference cycles that only the garbage collector frees, and what hangs on them."""

from __future__ import annotations

import gc
from collections import Counter
from typing import Any

from resleak.harness.child.inspection.object_graph import render

#: Ids of objects, each with those that it references.
Edges = dict[int, list[int]]
#: Most cycles that are reported, and types of each.
_TOLD, _KINDS = 12, 6
#: Most garbage that is examined: more of it is of the same few kinds.
_MOST = 200_000


def collect(steps: int) -> list[dict[str, Any]]:
    """Collect garbage, and return the cycles in it."""
    # The collector saves what it finds, which is examined and then freed. Finalizers and weak
    # reference callbacks run as they would have.
    before, flags = len(gc.garbage), gc.get_debug()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
    finally:
        gc.set_debug(flags)
    rows = _rows(gc.garbage[before:][:_MOST], steps)
    del gc.garbage[before:]
    gc.collect()
    return rows


def _rows(garbage: list[Any], steps: int) -> list[dict[str, Any]]:
    nodes = {id(one): one for one in garbage}
    edges = {
        key: [id(referent) for referent in gc.get_referents(one) if id(referent) in nodes]
        for key, one in nodes.items()
    }
    groups: dict[str, list[list[int]]] = {}
    for component in _components(edges):
        way = [nodes[key] for key in _shortest(component, edges, nodes)]
        groups.setdefault(render("", way), []).append(component)
    rows = [_row(text, group, edges, nodes, steps) for text, group in groups.items()]
    rows.sort(key=lambda row: (not row["holds"], -row["per_step"] * row["objects"]))
    return rows[:_TOLD]


def _row(
    text: str, group: list[list[int]], edges: Edges, nodes: dict[int, Any], steps: int
) -> dict[str, Any]:
    kinds, closable = Counter[str](), Counter[str]()
    for component in group:
        kinds.update(type(nodes[key]).__qualname__ for key in component)
        # Each member of a cycle reaches the same objects; those with a method to close them count.
        reached = [type(nodes[key]) for key in _reach(component[0], edges, set())]
        closable.update(of.__qualname__ for of in reached if callable(getattr(of, "close", None)))
    holds = [f"{count / len(group):.3g} {name}" for name, count in closable.most_common(_KINDS)]
    return {
        "cycle": text,
        "per_step": len(group) / steps,
        "objects": round(kinds.total() / len(group)),
        "holds": ", ".join(holds),
        "made_of": ", ".join(name for name, _ in kinds.most_common(_KINDS)),
    }


def _shortest(component: list[int], edges: Edges, nodes: dict[int, Any]) -> list[int]:
    """Return a shortest way around a cycle, starting at its most telling member."""

    def rank(key: int) -> int:
        """Rank instances of the studied code before those of libraries and the language."""
        is_builtin = type(nodes[key]).__module__ in ("builtins", "types", "_io", "functools")
        return 2 if is_builtin else 1 if isinstance(nodes[key], type) else 0

    start, inside = min(component, key=rank), set(component)
    came_from, queue = {start: start}, [start]
    for at in queue:  # which grows meanwhile
        for referent in edges[at]:
            if referent == start:
                way = [at]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return [*reversed(way), start]
            if referent in inside and referent not in came_from:
                came_from[referent] = at
                queue.append(referent)
    return [start]


def _components(edges: Edges) -> list[list[int]]:
    """Return the strongly connected components that have a cycle."""
    order: list[int] = []  # post-order of a depth-first walk
    visited: set[int] = set()
    for root in edges:
        work = [root]
        while work:
            at = work.pop()
            if at < 0:  # all that it references has been visited
                order.append(~at)
            elif at not in visited:
                visited.add(at)
                work += [~at, *reversed(edges[at])]
    backwards: Edges = {key: [] for key in edges}
    for key, referents in edges.items():
        for one in referents:
            backwards[one].append(key)
    visited = set()
    components = [_reach(key, backwards, visited) for key in reversed(order) if key not in visited]
    return [one for one in components if len(one) > 1 or one[0] in edges[one[0]]]


def _reach(start: int, edges: Edges, visited: set[int]) -> list[int]:
    reached, queue = [start], [start]
    visited.add(start)
    while queue:
        new = [one for one in dict.fromkeys(edges[queue.pop()]) if one not in visited]
        visited.update(new)
        reached += new
        queue += new
    return reached
