"""What a flamegraph draws: call stacks, and by how much each grew from moment to moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from resleak import cards, units
from resleak.stacks.forest import merged
from resleak.stacks.growth import Tables

#: More windows than this cannot be told apart where a person drags over them.
WINDOWS = 64
#: Chooses rows of `live`, given that table and `stacks`: a mask of shape (rows,).
Keep = Callable[[pd.DataFrame, pd.DataFrame], np.ndarray]


@dataclass(frozen=True, repr=False)
class Profile:
    """Call stacks and their growth, the mean of replicated captures.

    Attributes
    ----------
    frames : DataFrame
        One row a node, in pre-order: what is below a node follows it directly. Columns ``node``
        (0 to rows - 1), ``parent`` (-1 at the top), ``function``, ``file``, ``line``, ``studied``,
        ``depth``.
    edges : array, shape (windows + 1,)
        The moments between which growth is known, in steps or in seconds, ascending. Empty if
        there are less than two.
    changes : DataFrame
        Columns ``window`` (0 to windows - 1), ``node``, ``bytes``, ``count``: the net change,
        within the window, of what was allocated by stacks that end at the node.
    per : {"step", "s"}
        What `edges` count, and rates are per.
    captures : int
        From how many captures this is; from none, nothing is known.
    """

    frames: pd.DataFrame
    edges: np.ndarray
    changes: pd.DataFrame
    per: str
    captures: int

    def __repr__(self) -> str:
        return cards.text(f"profile of {self.captures} captures", self._told())

    def _repr_html_(self) -> str:
        return cards.html(f"profile of {self.captures} captures", (), self._told())

    def _told(self) -> list[tuple[str, str]]:
        if len(self.edges) < 2:
            return [("growth", "not known: less than two marks")]
        first, last = self.edges[0], self.edges[-1]
        rate = self.changes["bytes"].sum() / (last - first)
        return [
            ("growth", units.rate(float(rate), "B", self.per)),
            ("frames", str(len(self.frames))),
            ("windows", f"{len(self.edges) - 1}, from {self.per} {first:g} to {last:g}"),
            ("draw it", "figures.flamegraph(…)"),
        ]


@dataclass(frozen=True)
class _Part:
    """The tables of one capture, between its first and its last steady mark."""

    stacks: pd.DataFrame
    live: pd.DataFrame
    steps: np.ndarray


def profile(captures: Iterable[Tables], keep: Keep | None = None) -> Profile:
    """Return the stacks of replicated captures and what they grew by in each window.

    Parameters
    ----------
    captures : iterable of Capture
        Replicates of one variant. Those without stacks, or with less than two steady marks, are
        passed over.
    keep : callable, optional
        Which changes to look at; see `resleak.stacks.where`.

    Returns
    -------
    Profile
        At most 64 windows of about equal length, from the marks of the first capture.
    """
    chosen = list(captures)
    per = next((str(getattr(capture, "per", "step")) for capture in chosen), "step")
    parts = [part for part in map(_part, chosen) if part is not None]
    if not parts:
        return Profile(_no_frames(), np.empty(0), _no_changes(), per, 0)
    kept = [
        part.live if keep is None else part.live[keep(part.live, part.stacks)] for part in parts
    ]
    edges = _edges(parts[0].steps)
    frames, nodes = merged([part.stacks for part in parts])
    moved = [_moved(live, at, edges) for live, at in zip(kept, nodes, strict=True)]
    changes = pd.concat(moved).groupby(["window", "node"], as_index=False).sum()
    changes[["bytes", "count"]] /= len(parts)
    changes = changes[(changes["bytes"] != 0) | (changes["count"] != 0)]
    return Profile(*_in_preorder(frames, changes, edges), per, len(parts))


def _part(capture: Tables) -> _Part | None:
    if capture.instrument != "memray":
        return None
    marks = capture.table("marks")
    steady = marks[marks["phase"] == "steady"]
    steps = np.unique(steady["step"].to_numpy(dtype=float))
    if len(steps) < 2:
        return None
    live = capture.table("live")
    first, last = steady["mark"].iloc[[0, -1]]
    within = live[(live["mark"] > first) & (live["mark"] <= last)]
    return _Part(capture.table("stacks"), within, steps)


def _edges(steps: np.ndarray) -> np.ndarray:
    wanted = np.linspace(steps[0], steps[-1], min(WINDOWS, len(steps) - 1) + 1)
    edges: np.ndarray = steps[np.unique(np.abs(steps[:, None] - wanted).argmin(axis=0))]
    return edges


def _moved(live: pd.DataFrame, nodes: np.ndarray, edges: np.ndarray) -> pd.DataFrame:
    """Return the changes by window, with the nodes of the merged stacks."""
    window = np.searchsorted(edges, live["step"].to_numpy(dtype=float)) - 1
    columns = {"window": window, "node": nodes[live["node"].to_numpy()]}
    columns |= {name: live[name].to_numpy(dtype=float) for name in ("bytes", "count")}
    return pd.DataFrame(columns)[(window >= 0) & (window < len(edges) - 1)]


def _in_preorder(
    frames: pd.DataFrame, changes: pd.DataFrame, edges: np.ndarray
) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame]:
    """Drop the stacks without changes, and number the others so that a subtree is a range."""
    parents = frames["parent"].to_numpy()
    used = np.zeros(len(frames), dtype=np.int64)
    used[changes["node"].to_numpy()] = 1
    sizes = _sizes(parents, used)
    places = _places(parents, sizes)
    kept = np.flatnonzero(sizes)
    order = kept[np.argsort(places[kept])]
    above = parents[order]
    table = frames.iloc[order].assign(
        node=np.arange(len(order)), parent=np.where(above >= 0, places[above], -1)
    )
    nodes = changes.assign(node=places[changes["node"].to_numpy()])
    return table.reset_index(drop=True), edges, nodes.reset_index(drop=True)


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


def _no_frames() -> pd.DataFrame:
    types = {"node": int, "parent": int, "function": str, "file": str, "line": int}
    columns = types | {"studied": bool, "depth": int}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()})


def _no_changes() -> pd.DataFrame:
    types = {"window": int, "node": int, "bytes": float, "count": float}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in types.items()})
