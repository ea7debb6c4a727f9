"""What is kept only until the collector runs: which cycles, and what hangs on them."""

from __future__ import annotations

import gc
from collections import Counter, deque
from typing import Any

from resleak.harness.child.inspection import reference_paths

#: Cycles that are told, and types that are told of each.
_TOLD, _KINDS = 12, 6
#: Garbage beyond this is not looked at: it is of a few kinds all the same.
_MOST = 200_000


def collect(steps: int) -> list[dict[str, Any]]:
    """Collect garbage, and return the cycles it consisted of.

    The collector is told to keep what it finds, which is looked at and then let go. Finalizers and
    the callbacks of weak references run as they would have.

    Parameters
    ----------
    steps : int
        Steps since the collector ran last.

    Returns
    -------
    list of dict
        ``cycle``, ``per_step``, ``objects`` (in one of them), ``holds`` (what hangs on one and can
        be closed) and ``made_of``; those that hold something to be closed come first.
    """
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
        key: [id(held) for held in gc.get_referents(one) if id(held) in nodes]
        for key, one in nodes.items()
    }
    groups: dict[str, list[tuple[list[int], Counter[str]]]] = {}
    for component in _components(edges):
        text = reference_paths.render(
            "", [nodes[key] for key in _shortest(component, edges, nodes)]
        )
        groups.setdefault(text, []).append((component, _closable(component, edges, nodes)))
    rows = [_row(text, group, nodes, steps) for text, group in groups.items()]
    return sorted(rows, key=lambda row: (not row["holds"], -row["per_step"] * row["objects"]))[
        :_TOLD
    ]


def _row(
    text: str, group: list[tuple[list[int], Counter[str]]], nodes: dict[int, Any], steps: int
) -> dict[str, Any]:
    closable = sum((held for _, held in group), Counter[str]())
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
    """Count what can be reached from a cycle and has a method to close it."""
    seen: set[int] = set()
    for key in component:
        if key not in seen:
            _reach(key, edges, seen)
    kinds = [type(nodes[key]) for key in seen]
    return Counter(of.__qualname__ for of in kinds if callable(getattr(of, "close", None)))


def _shortest(
    component: list[int], edges: dict[int, list[int]], nodes: dict[int, Any]
) -> list[int]:
    """Return a shortest way around, from the most telling member back to it."""
    start, inside = min(component, key=lambda key: _rank(nodes[key])), set(component)
    came_from, queue = {start: start}, deque([start])
    while queue:
        at = queue.popleft()
        for held in edges[at]:
            if held == start:
                way = [at]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return [*reversed(way), start]
            if held in inside and held not in came_from:
                came_from[held] = at
                queue.append(held)
    return [start]


def _rank(thing: Any) -> int:
    """Rank instances of the studied code's classes before those of libraries and the language."""
    module = type(thing).__module__
    builtin = module in ("builtins", "types", "_io", "functools")
    return 2 if builtin else 1 if isinstance(thing, type) else 0


def _components(edges: dict[int, list[int]]) -> list[list[int]]:
    """Return the strongly connected components that have a cycle.

    References
    ----------
    Sharir, "A strong-connectivity algorithm and its applications in data flow analysis", Computers
    and Mathematics with Applications 7 (1981): what reaches the node that a walk left last.
    """
    backwards: dict[int, list[int]] = {key: [] for key in edges}
    for key, held in edges.items():
        for one in held:
            backwards[one].append(key)
    seen: set[int] = set()
    found = [_reach(key, backwards, seen) for key in reversed(_left(edges)) if key not in seen]
    return [one for one in found if len(one) > 1 or one[0] in edges[one[0]]]


def _reach(start: int, edges: dict[int, list[int]], seen: set[int]) -> list[int]:
    found, queue = [start], [start]
    seen.add(start)
    while queue:
        new = [one for one in dict.fromkeys(edges[queue.pop()]) if one not in seen]
        seen.update(new)
        found += new
        queue += new
    return found


def _left(edges: dict[int, list[int]]) -> list[int]:
    """Return all nodes in the order in which a walk in depth leaves them."""
    left: list[int] = []
    seen: set[int] = set()
    for root in edges:
        work = [] if root in seen else [(root, iter(edges[root]))]
        seen.add(root)
        while work:
            at, held = work[-1]
            new = next((one for one in held if one not in seen), None)
            if new is None:
                left.append(at)
                work.pop()
            else:
                seen.add(new)
                work.append((new, iter(edges[new])))
    return left
