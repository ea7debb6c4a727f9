"""The lines that keep most, in words: what stands where no script may run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from resleak import units
from resleak.stacks.growth import FRAME, site_of
from resleak.stacks.windows import Profile

_MOST = 10


def sites(sides: Sequence[Profile]) -> pd.DataFrame:
    """Sum net growth by line.

    Parameters
    ----------
    sides : sequence of Profile
        One, or two for a difference: after, before.

    Returns
    -------
    DataFrame
        ``function file line per_step share``, the largest first; of two ``after``, ``before`` and
        ``change``, the largest change first. At most ten rows.
    """
    where = site_of(sides[0].frames)
    names = ["per_step"] if len(sides) == 1 else ["after", "before"]
    rates = {name: _per_step(side) for name, side in zip(names, sides, strict=True)}
    table = where.assign(**rates).groupby(FRAME, as_index=False)[names].sum()
    if len(sides) == 1:
        table = table[table["per_step"] > 0]
        table = table.assign(share=table["per_step"] / table["per_step"].sum())
        return table.nlargest(_MOST, "per_step").reset_index(drop=True)
    table = table.assign(change=table["after"] - table["before"])
    order = np.argsort(-table["change"].abs().to_numpy(), kind="stable")[:_MOST]
    table = table.iloc[order]
    return table[table["change"] != 0].reset_index(drop=True)


def written(table: pd.DataFrame, unit: str, per: str) -> dict[str, list[Any]]:
    """Return a table of `sites` as text: a head and rows."""
    numbers = [name for name in table.columns if name not in FRAME]
    known = {"per_step": f"per {per}", "share": "share of the growth"}
    heads = [known.get(name, f"{name}, per {per}") for name in numbers]
    told = {name: [_text(name, value, unit) for value in table[name]] for name in numbers}
    places = [f"{f}:{n}" if f else "" for f, n in zip(table["file"], table["line"], strict=True)]
    columns = [table["function"].astype(str).tolist(), places, *told.values()]
    rows = [list(row) for row in zip(*columns, strict=True)]
    return {"head": ["function", "file and line", *heads], "rows": rows}


def _text(name: str, value: float, unit: str) -> str:
    return units.share(value) if name == "share" else units.amount(value, unit)


def _per_step(side: Profile) -> np.ndarray:
    node = side.changes["node"].to_numpy(dtype=np.int64)
    change = side.changes["bytes"].to_numpy(dtype=float)
    steps = float(side.edges[-1] - side.edges[0]) if len(side.edges) > 1 else 1.0
    return np.bincount(node, weights=change, minlength=len(side.frames)) / steps
