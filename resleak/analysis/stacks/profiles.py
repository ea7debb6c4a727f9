"""Profiles: the call stacks of replicated captures, and the growth of each by window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from resleak import formatting
from resleak.analysis.stacks.allocation_sites import FRAME, Keep, Tables, per_of, steady, windows
from resleak.analysis.stacks.columns import Columns, column, from_rows, rows, subset, sums
from resleak.errors import StoreError

if TYPE_CHECKING:
    import pandas as pd

#: Most windows that a person can tell apart when dragging over them.
WINDOWS = 64
_CHANGES = ("window", "node", "bytes", "count")
_TYPES = {"node": np.int64, "parent": np.int64, "line": np.int64, "studied": bool}


@dataclass(frozen=True)
class Layout:
    """A `Profile` whose tables are columns, as drawing it needs them."""

    frames: dict[str, np.ndarray] | pd.DataFrame
    edges: np.ndarray
    changes: dict[str, np.ndarray] | pd.DataFrame
    per: str
    captures: int
    sources: Mapping[tuple[str, int], str] = field(default_factory=dict)

    def per_step(self) -> np.ndarray:
        """Return the bytes per step that each node gained over all windows."""
        node, change = column(self.changes, "node", np.int64), column(self.changes, "bytes", float)
        steps = float(self.edges[-1] - self.edges[0]) if len(self.edges) > 1 else 1.0
        return sums(node, change, len(column(self.frames, "parent"))) / steps


@dataclass(frozen=True, repr=False)
class Profile(formatting.Shown, Layout):
    """Call stacks and their growth, the mean of replicated captures.

    Attributes
    ----------
    frames : DataFrame
        One row per node, in pre-order: children follow their node directly. Columns ``node``
        (0 to rows - 1), ``parent`` (-1 at the top), ``function``, ``file``, ``line``, ``studied``,
        ``depth``.
    edges : array, shape (windows + 1,)
        The edges of the windows, in steps or in seconds, ascending. Empty if there are less than
        two.
    changes : DataFrame
        Columns ``window`` (0 to windows - 1), ``node``, ``bytes``, ``count``: the net change within
        the window of memory allocated by stacks that end at the node.
    per : {"step", "s"}
        Unit of `edges` and rates.
    captures : int
        Number of captures.
    sources : dict of (file, line) to str
        The text of each line that the captures stored, between the line before and the one after.
    """

    frames: pd.DataFrame
    changes: pd.DataFrame

    def _table(self) -> formatting.Table:
        title = f"profile of {self.captures} captures"
        if len(self.edges) < 2:
            return formatting.Table((), [("growth", "not known: less than two marks")], title)
        first, last = self.edges[0], self.edges[-1]
        rate = self.changes["bytes"].sum() / (last - first)
        lines = [
            ("growth", formatting.rate(float(rate), "B", self.per)),
            ("frames", str(len(self.frames))),
            ("windows", f"{len(self.edges) - 1}, from {self.per} {first:g} to {last:g}"),
            ("draw it", "figures.flamegraph(…)"),
        ]
        return formatting.Table((), lines, title)


def profile(captures: Iterable[Tables], keep: Keep | None = None) -> Profile:
    """Return the stacks of replicated captures and their growth in each of at most 64 windows.

    Parameters
    ----------
    captures : iterable of Capture
        Replicates of one variant. Those without stacks, or with less than two steady marks, are
        skipped.
    keep : callable, optional
        Which changes count; see `resleak.analysis.stacks.where`.

    Returns
    -------
    Profile
    """
    import pandas as pd

    captures = [*captures]
    columns = layout(captures, keep)
    frames = pd.DataFrame(columns.frames).astype({"function": "str", "file": "str"})
    about = (columns.per, columns.captures, sources(captures))
    return Profile(frames, columns.edges, pd.DataFrame(columns.changes), *about)


def sources(captures: Iterable[Tables]) -> dict[tuple[str, int], str]:
    """Return the text of each line that runs stored, between the line before and the one after."""
    texts: dict[tuple[str, int], str] = {}
    for capture in captures:
        with suppress(StoreError, KeyError):
            if capture.instrument in ("memray", "handles"):
                lines = rows(capture.table("sources"), ("file", "line", "text"))
                texts |= {(file, line): text for file, line, text in lines}
    return texts


def layout(captures: Iterable[Tables], keep: Keep | None = None) -> Layout:
    """Return the same as `profile` as columns; tables need not be data frames."""
    captures = [*captures]
    parts = [*steady(captures, ("step", "node", "bytes", "count"), keep)]
    joined, nodes = merged([stacks for stacks, *_ in parts])
    steps = np.unique(parts[0][-1]) if parts else np.empty(0)
    edges = steps[windows(steps, WINDOWS)] if parts else steps
    changed = []
    for (_, live, _, _), node in zip(parts, nodes, strict=True):
        window = np.searchsorted(edges, live["step"].astype(float)) - 1
        columns = {**live, "window": window, "node": node[live["node"]]}
        is_inside = (window >= 0) & (window < len(edges) - 1)
        changed.append(subset(columns, _CHANGES, is_inside))
    changes = _mean(changed, len(joined["node"]))
    used = np.zeros(len(joined["node"]))
    used[changes["node"]] = 1
    # Stacks without changes are dropped, and the others numbered so that a subtree is a range.
    tree = Tree(joined)
    order = tree.preorder(tree.below(used) > 0, np.arange(len(used)))
    place = np.full(len(used) + 1, -1)  # the last one is that of no parent, -1
    place[order] = np.arange(len(order))
    frames = subset(joined, joined, order)
    frames |= {"node": np.arange(len(order)), "parent": place[joined["parent"][order]]}
    changes |= {"node": place[changes["node"]]}
    return Layout(frames, edges, changes, per_of(captures), len(parts))


def _mean(parts: list[dict[str, np.ndarray]], size: int) -> dict[str, np.ndarray]:
    """Return the mean of the captures' changes by window and node, where there is any."""
    whole = {name: np.concatenate([np.empty(0), *(p[name] for p in parts)]) for name in _CHANGES}
    cells = (whole["window"] * size + whole["node"]).astype(np.int64)
    cell, of = np.unique(cells, return_inverse=True)
    means = [sums(of, whole[name], len(cell)) / max(len(parts), 1) for name in _CHANGES[2:]]
    window, node = np.divmod(cell, max(size, 1))
    changes = dict(zip(_CHANGES, (window, node, *means), strict=True))
    return subset(changes, _CHANGES, (means[0] != 0) | (means[1] != 0))


class Tree:
    """Frames by depth, so that sums and places take one operation for each level."""

    def __init__(self, frames: Columns) -> None:
        self.parent = column(frames, "parent", np.int64)
        depth = column(frames, "depth", np.int64)
        ends = np.cumsum(np.bincount(depth))
        self.levels = np.split(np.argsort(depth, kind="stable"), ends[:-1])

    def below(self, values: np.ndarray) -> np.ndarray:
        """Return values with those of all nodes below added."""
        total: np.ndarray = values.astype(float)
        for level in reversed(self.levels[1:]):
            np.add.at(total, self.parent[level], total[level])
        return total

    def preorder(self, kept: np.ndarray, rank: np.ndarray) -> np.ndarray:
        """Return the kept nodes, each before what is below it, siblings by rank, then by number.

        Whatever is above a kept node has to be kept.
        """
        size = self.below(kept).astype(np.int64)
        place = np.zeros(len(kept), dtype=np.int64)
        for level in self.levels:
            family = level[np.lexsort((rank[level], self.parent[level]))]
            parent = self.parent[family]
            before = np.cumsum(size[family]) - size[family]
            is_first = np.diff(parent, prepend=-2) != 0
            start = np.maximum.accumulate(np.where(is_first, before, 0))
            above = np.where(parent >= 0, place[parent] + 1, 0)
            place[family] = above + before - start
        nodes = np.flatnonzero(kept)
        return nodes[np.argsort(place[nodes])]


def merged(stacks: Sequence[Columns]) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """Join several tables of stacks; return the joined one and the nodes there of each."""
    if len(stacks) == 1:  # as it is: nothing to look up
        joined = {n: column(stacks[0], n) for n in ("node", "parent", *FRAME, "studied")}
        nodes = [np.arange(len(joined["node"]))]
    else:
        joined, nodes = _looked_up(stacks)
    typed = {name: values.astype(_TYPES.get(name, object)) for name, values in joined.items()}
    depths: list[int] = []
    for parent in typed["parent"].tolist():
        depths.append(depths[parent] + 1 if parent >= 0 else 0)
    return typed | {"depth": np.array(depths, dtype=np.int64)}, nodes


def _looked_up(stacks: Sequence[Columns]) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    numbers: dict[tuple[Any, ...], int] = {}
    studied: list[bool] = []
    nodes = []
    for table in stacks:
        places: list[int] = []
        for parent, *frame, is_studied in rows(table, ("parent", *FRAME, "studied")):
            key = (places[parent] if parent >= 0 else -1, *frame)
            if key not in numbers:
                numbers[key] = len(numbers)
                studied.append(is_studied)
            places.append(numbers[key])
        nodes.append(np.array(places, dtype=np.int64))
    joined = from_rows(("parent", *FRAME), numbers)
    joined |= {"node": np.arange(len(numbers)), "studied": np.array(studied, dtype=bool)}
    return joined, nodes
