"""Find reference cycles that only the garbage collector frees, and what hangs on them."""

from __future__ import annotations

import gc
from collections import Counter, deque
from typing import Any

from resleak.harness.child.inspection import reference_paths

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
    groups: dict[str, list[tuple[list[int], Counter[str]]]] = {}
    for component in _components(edges):
        way = [nodes[key] for key in _shortest(component, edges, nodes)]
        text = reference_paths.render("", way)
        groups.setdefault(text, []).append((component, _closable(component, edges, nodes)))
    rows = [_row(text, group, nodes, steps) for text, group in groups.items()]
    rows.sort(key=lambda row: (not row["holds"], -row["per_step"] * row["objects"]))
    return rows[:_TOLD]


def _row(
    text: str, group: list[tuple[list[int], Counter[str]]], nodes: dict[int, Any], steps: int
) -> dict[str, Any]:
    closable = sum((count_by_kind for _, count_by_kind in group), Counter[str]())
    kinds = Counter(type(nodes[key]).__qualname__ for component, _ in group for key in component)
    holds = [f"{count / len(group):.3g} {name}" for name, count in closable.most_common(_KINDS)]
    return {
        "cycle": text,
        "per_step": len(group) / steps,
        "objects": round(sum(len(component) for component, _ in group) / len(group)),
        "holds": ", ".join(holds),
        "made_of": ", ".join(name for name, _ in kinds.most_common(_KINDS)),
    }


def _closable(
    component: list[int], edges: dict[int, list[int]], nodes: dict[int, Any]
) -> Counter[str]:
    """Count the objects reachable from a cycle that have a method to close them."""
    visited: set[int] = set()
    for key in component:
        if key not in visited:
            _reach(key, edges, visited)
    kinds = [type(nodes[key]) for key in visited]
    return Counter(of.__qualname__ for of in kinds if callable(getattr(of, "close", None)))


def _shortest(
    component: list[int], edges: dict[int, list[int]], nodes: dict[int, Any]
) -> list[int]:
    """Return a shortest way around a cycle, starting at its most telling member."""

    def rank(key: int) -> int:
        """Rank instances of the studied code before those of libraries and the language."""
        is_builtin = type(nodes[key]).__module__ in ("builtins", "types", "_io", "functools")
        return 2 if is_builtin else 1 if isinstance(nodes[key], type) else 0

    start, inside = min(component, key=rank), set(component)
    came_from, queue = {start: start}, deque([start])
    while queue:
        at = queue.popleft()
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


def _components(edges: dict[int, list[int]]) -> list[list[int]]:
    """Return the strongly connected components that have a cycle."""
    backwards: dict[int, list[int]] = {key: [] for key in edges}
    for key, referents in edges.items():
        for one in referents:
            backwards[one].append(key)
    visited: set[int] = set()
    components = [
        _reach(key, backwards, visited) for key in reversed(_left(edges)) if key not in visited
    ]
    return [one for one in components if len(one) > 1 or one[0] in edges[one[0]]]


def _reach(start: int, edges: dict[int, list[int]], visited: set[int]) -> list[int]:
    reached, queue = [start], [start]
    visited.add(start)
    while queue:
        new = [one for one in dict.fromkeys(edges[queue.pop()]) if one not in visited]
        visited.update(new)
        reached += new
        queue += new
    return reached


def _left(edges: dict[int, list[int]]) -> list[int]:
    """Return all nodes in post-order of a depth-first walk."""
    order: list[int] = []
    visited: set[int] = set()
    for root in edges:
        work = [] if root in visited else [(root, iter(edges[root]))]
        visited.add(root)
        while work:
            at, referents = work[-1]
            new = next((one for one in referents if one not in visited), None)
            if new is None:
                order.append(at)
                work.pop()
            else:
                visited.add(new)
                work.append((new, iter(edges[new])))
    return order
