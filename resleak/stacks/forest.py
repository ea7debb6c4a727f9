"""The stacks that grew, as one tree with totals."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from resleak.stacks.growth import FRAME, Growth, Tables, by_site, growths, site_of

_COLUMNS = [
    *("node", "parent", *FRAME, "studied", "self_bytes_per_step", "bytes_per_step"),
    *("count_per_step", "depth", "lasting"),
]
_Key = tuple[int, str, str, int]


def tree(captures: Iterable[Tables]) -> pd.DataFrame:
    """Return the stacks that grew, as a tree with totals.

    Parameters
    ----------
    captures : iterable of Capture
        Replicates of one variant, as for `sites`; their mean is taken.

    Returns
    -------
    DataFrame
        Columns ``node`` (0 to rows - 1, a parent before its children), ``parent`` (-1 at the top),
        ``function``, ``file``, ``line``, ``studied``, ``self_bytes_per_step`` (of stacks that end
        here), ``bytes_per_step`` and ``count_per_step`` (with all below), ``depth``, ``lasting``
        (whether it leads to a site whose `low` is above zero). Stacks that shrank count as zero,
        so that a total is never below one of its parts. Empty if nothing grew. In
        ``.attrs["captures"]``, from how many captures.
    """
    found = growths(captures)
    table, nodes = merged([growth.stacks for growth in found])
    per_step = _mean(nodes, [growth.per_step for growth in found], len(table))
    count = _mean(nodes, [growth.count_per_step for growth in found], len(table))
    grew, lasts = per_step > 0, _lasts(table, found)
    parents = table["parent"].to_numpy()
    own = np.where(grew, per_step, 0.0)
    table = table.assign(
        self_bytes_per_step=own,
        bytes_per_step=_totals(parents, own),
        count_per_step=_totals(parents, np.where(grew, count, 0.0)),
        lasting=_totals(parents, np.where(grew & lasts, 1.0, 0.0)) > 0,
    )
    grown = _renumbered(table[table["bytes_per_step"] > 0])[_COLUMNS]
    grown.attrs["captures"] = len(found)
    return grown


def prune(tree: pd.DataFrame, most: int = 1000) -> pd.DataFrame:
    """Keep the largest nodes of a tree, which always include their ancestors.

    Parameters
    ----------
    tree : DataFrame
        As `tree` returns it.
    most : int
        How many nodes to keep.

    Returns
    -------
    DataFrame
        The same columns, renumbered.
    """
    # A total is never below one of its parts, and of equals the one nearer the root goes first.
    order = tree.sort_values(["bytes_per_step", "depth"], ascending=[False, True], kind="stable")
    return _renumbered(order.head(most).sort_values("node"))


def merged(stacks: list[pd.DataFrame]) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """Join several tables of stacks; return the joined one and the nodes there of each."""
    if len(stacks) == 1:  # as it is: nothing to look up
        return _with_depth(stacks[0]), [np.arange(len(stacks[0]))]
    nodes: dict[_Key, int] = {}
    rows: list[tuple[int, int, str, str, int, bool, int]] = []
    merged = [np.array(list(_enter(part, nodes, rows)), dtype=np.int64) for part in stacks]
    names = ["node", "parent", *FRAME, "studied", "depth"]
    types = {"node": int, "parent": int, "line": int, "studied": bool, "depth": int}
    return pd.DataFrame(rows, columns=names).astype(types), merged


def _with_depth(stacks: pd.DataFrame) -> pd.DataFrame:
    depths: list[int] = []
    for parent in stacks["parent"].tolist():
        depths.append(depths[parent] + 1 if parent >= 0 else 0)
    table = stacks[["node", "parent", *FRAME, "studied"]].assign(depth=depths)
    return table.astype({"node": int, "parent": int, "line": int, "depth": int})


def _enter(
    stacks: pd.DataFrame,
    nodes: dict[_Key, int],
    rows: list[tuple[int, int, str, str, int, bool, int]],
) -> Iterable[int]:
    places: list[int] = []
    columns = [stacks[name].tolist() for name in ("parent", *FRAME, "studied")]
    for parent, function, file, line, studied in zip(*columns, strict=True):
        above = places[parent] if parent >= 0 else -1
        key = (above, function, file, line)
        if key not in nodes:
            nodes[key] = len(rows)
            depth = rows[above][-1] + 1 if above >= 0 else 0
            rows.append((len(rows), *key, studied, depth))
        places.append(nodes[key])
    return places


def _mean(nodes: list[np.ndarray], values: list[np.ndarray], size: int) -> np.ndarray:
    """Return the mean of the captures for each node of the joined tree."""
    total = np.zeros(size)
    for at, part in zip(nodes, values, strict=True):
        total += np.bincount(at, weights=part, minlength=size)
    return total / max(len(nodes), 1)


def _lasts(table: pd.DataFrame, found: list[Growth]) -> np.ndarray:
    """Tell of each stack whether its site grows in window after window."""
    ranked = by_site(found)
    lasting = pd.MultiIndex.from_frame(ranked.loc[ranked["low"] > 0, FRAME])
    return pd.MultiIndex.from_frame(site_of(table)).isin(lasting)


def _totals(parents: np.ndarray, own: np.ndarray) -> np.ndarray:
    totals: list[float] = own.tolist()
    above: list[int] = parents.tolist()
    for node in range(len(totals) - 1, -1, -1):
        if above[node] >= 0:
            totals[above[node]] += totals[node]
    return np.array(totals)


def _renumbered(table: pd.DataFrame) -> pd.DataFrame:
    number = pd.Series(np.arange(len(table)), index=table["node"])
    parents = table["parent"].map(number).fillna(-1).astype(np.int64)
    return table.assign(node=np.arange(len(table)), parent=parents).reset_index(drop=True)
