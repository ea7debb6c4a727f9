"""The stacks that grew, as one tree with totals."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from resleak.analysis.stacks.allocation_sites import (
    FRAME,
    Growth,
    Tables,
    growths,
    ranking,
    site_of,
)
from resleak.analysis.stacks.columns import Columns, rows
from resleak.analysis.stacks.merging import merged

_COLUMNS = [
    *("node", "parent", *FRAME, "studied", "self_bytes_per_step", "bytes_per_step"),
    *("count_per_step", "depth", "lasting"),
]


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
    columns, nodes = merged([growth.stacks for growth in found])
    table = pd.DataFrame(columns)
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


def _mean(nodes: list[np.ndarray], values: list[np.ndarray], size: int) -> np.ndarray:
    """Return the mean of the captures for each node of the joined tree."""
    total = np.zeros(size)
    for at, part in zip(nodes, values, strict=True):
        total += np.bincount(at, weights=part, minlength=size)
    return total / max(len(nodes), 1)


def _lasts(stacks: Columns, found: list[Growth]) -> np.ndarray:
    """Tell of each stack whether its site grows in window after window."""
    ranked = ranking(found)
    lasting = set(rows(ranked, FRAME, ranked["low"] > 0))
    sites = rows(stacks, FRAME, site_of(stacks))
    return np.array([site in lasting for site in sites], dtype=bool)


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
