"""Made-up profiles with known answers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from resleak.analysis.stacks.profiles import Profile

#: One frame: function, file, line.
Frame = tuple[str, str, int]


def made_up(
    stacks: Mapping[tuple[Frame, ...], float | list[float]],
    *,
    windows: int = 4,
    steps: float = 10,
    per: str = "step",
    count: int = 1,
) -> Profile:
    """Return a profile of stacks, root first, each with its bytes in every window."""
    nodes = _pre_order(stacks)
    rows = [
        {"window": w, "node": nodes[stack], "bytes": float(b), "count": float(count)}
        for stack, given in stacks.items()
        for w, b in enumerate(given if isinstance(given, list) else [given] * windows)
    ]
    changes = pd.DataFrame(rows, columns=["window", "node", "bytes", "count"])
    types = {"window": int, "node": int, "bytes": float, "count": float}
    edges = np.arange(windows + 1) * float(steps)
    return Profile(_frames(nodes), edges, changes.astype(types), per, captures=1)


def _pre_order(stacks: Mapping[tuple[Frame, ...], object]) -> dict[tuple[Frame, ...], int]:
    every = {stack[: depth + 1] for stack in stacks for depth in range(len(stack))}
    return {stack: node for node, stack in enumerate(sorted(every))}


def _frames(nodes: Mapping[tuple[Frame, ...], int]) -> pd.DataFrame:
    rows = [
        (
            node,
            nodes.get(stack[:-1], -1),
            *stack[-1],
            stack[-1][1].startswith("app"),
            len(stack) - 1,
        )
        for stack, node in nodes.items()
    ]
    names = ["node", "parent", "function", "file", "line", "studied", "depth"]
    types = {"node": int, "parent": int, "line": int, "studied": bool, "depth": int}
    return pd.DataFrame(rows, columns=names).astype(types)
