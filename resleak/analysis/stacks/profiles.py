"""Profiles: the call stacks of replicated captures, and the growth of each by window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from resleak import formatting
from resleak.analysis.stacks.allocation_sites import FRAME, Tables, windows
from resleak.analysis.stacks.columns import Columns, column, rows, subset, sums
from resleak.errors import StoreError

if TYPE_CHECKING:
    import pandas as pd

#: Most windows that a person can tell apart when dragging over them.
WINDOWS = 64
#: Chooses rows of `live`, given that table and `stacks`, both DataFrames: a mask, shape (rows,).
Keep = Callable[[Any, Any], np.ndarray]
_CHANGES = ("window", "node", "bytes", "count")
_TYPES = {"node": np.int64, "parent": np.int64, "line": np.int64, "studied": bool}


@dataclass(frozen=True, repr=False)
class Profile(formatting.Shown):
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
    edges: np.ndarray
    changes: pd.DataFrame
    per: str
    captures: int
    sources: Mapping[tuple[str, int], str] = field(default_factory=dict)

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


@dataclass(frozen=True)
class Layout:
    """A `Profile` whose tables are columns, as drawing it needs them."""

    frames: dict[str, np.ndarray]
    edges: np.ndarray
    changes: dict[str, np.ndarray]
    per: str
    captures: int
    sources: Mapping[tuple[str, int], str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Part:
    """The tables of one capture, between its first and its last steady mark."""

    stacks: Columns
    live: dict[str, np.ndarray]
    steps: np.ndarray


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
    changes = pd.DataFrame(columns.changes)
    facts = (columns.per, columns.captures, sources(captures))
    return Profile(frames, columns.edges, changes, *facts)


def sources(captures: Iterable[Tables]) -> dict[tuple[str, int], str]:
    """Return the text of each line that runs stored, between the line before and the one after."""
    found: dict[tuple[str, int], str] = {}
    for capture in captures:
        with suppress(StoreError, KeyError):
            if capture.instrument in ("memray", "handles"):
                table = capture.table("sources")
                keys = zip(table["file"].tolist(), table["line"].tolist(), strict=True)
                found |= dict(zip(keys, table["text"].tolist(), strict=True))
    return found


def layout(captures: Iterable[Tables], keep: Keep | None = None) -> Layout:
    """Return the same as `profile` as columns; tables need not be data frames."""
    chosen = list(captures)
    per = next((str(getattr(capture, "per", "step")) for capture in chosen), "step")
    parts = [part for part in (_part(capture, keep) for capture in chosen) if part is not None]
    frames, nodes = merged([part.stacks for part in parts])
    steps = parts[0].steps if parts else np.empty(0)
    edges = steps[windows(steps, WINDOWS)] if parts else steps
    changed = []
    for part, at in zip(parts, nodes, strict=True):
        window = np.searchsorted(edges, part.live["step"].astype(float)) - 1
        columns = {**part.live, "window": window, "node": at[part.live["node"]]}
        is_inside = (window >= 0) & (window < len(edges) - 1)
        changed.append(subset(columns, _CHANGES, is_inside))
    changes = _summed(changed, len(frames["node"]))
    return Layout(*_in_preorder(frames, changes, edges), per, len(parts))


def _part(capture: Tables, keep: Keep | None) -> _Part | None:
    if capture.instrument != "memray":
        return None
    marks = capture.table("marks")
    steady = column(marks, "phase") == "steady"
    steps = np.unique(column(marks, "step", float)[steady])
    if len(steps) < 2:
        return None
    table, stacks = capture.table("live"), capture.table("stacks")
    first, last = column(marks, "mark")[steady][[0, -1]]
    mark = column(table, "mark")
    within = (mark > first) & (mark <= last)
    if keep is not None:
        within[within] = keep(table[within], stacks)
    return _Part(stacks, subset(table, ("step", "node", "bytes", "count"), within), steps)


def _summed(parts: list[dict[str, np.ndarray]], size: int) -> dict[str, np.ndarray]:
    """Return the mean of the captures' changes by window and node, where there is any."""
    whole = {name: np.concatenate([np.empty(0), *(p[name] for p in parts)]) for name in _CHANGES}
    cells = (whole["window"] * size + whole["node"]).astype(np.int64)
    cell, of = np.unique(cells, return_inverse=True)
    means = [sums(of, whole[name], len(cell)) / max(len(parts), 1) for name in _CHANGES[2:]]
    window, node = np.divmod(cell, max(size, 1))
    changes = dict(zip(_CHANGES, (window, node, *means), strict=True))
    return subset(changes, _CHANGES, (means[0] != 0) | (means[1] != 0))


def _in_preorder(
    frames: dict[str, np.ndarray], changes: dict[str, np.ndarray], edges: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray, dict[str, np.ndarray]]:
    """Drop stacks without changes, and number the others so that a subtree is a range."""
    parents = frames["parent"]
    used = np.zeros(len(parents), dtype=np.int64)
    used[changes["node"]] = 1
    sizes = _sizes(parents, used)
    places = _places(parents, sizes)
    changed = np.flatnonzero(sizes)
    order = changed[np.argsort(places[changed])]
    above = parents[order]
    table = subset(frames, frames, order)
    table |= {"node": np.arange(len(order)), "parent": np.where(above >= 0, places[above], -1)}
    return table, edges, changes | {"node": places[changes["node"]]}


def _sizes(parents: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Return how many nodes each subtree keeps, itself included; 0 where none is used."""
    sizes: list[int] = used.tolist()
    own, above = used.tolist(), parents.tolist()
    for node in range(len(sizes) - 1, -1, -1):
        if sizes[node]:
            sizes[node] += 1 - own[node]
            if above[node] >= 0:
                sizes[above[node]] += sizes[node]
    return np.array(sizes, dtype=np.int64)


def _places(parents: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the place of each node in pre-order: after its parent and its elder siblings."""
    free, top = [0] * len(parents), 0
    places = [0] * len(parents)
    for node, (parent, size) in enumerate(zip(parents.tolist(), sizes.tolist(), strict=True)):
        places[node] = free[parent] if parent >= 0 else top
        if parent >= 0:
            free[parent] += size
        else:
            top += size
        free[node] = places[node] + 1
    return np.array(places, dtype=np.int64)


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
    columns = list(zip(*numbers, strict=True)) or [()] * (1 + len(FRAME))
    names = ("parent", *FRAME)
    joined = {n: np.array(c, dtype=object) for n, c in zip(names, columns, strict=True)}
    joined |= {"node": np.arange(len(numbers)), "studied": np.array(studied, dtype=bool)}
    return joined, nodes
