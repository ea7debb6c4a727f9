"""The payload of a flame graph, as plain JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from resleak.analysis.stacks.allocation_sites import Tables
from resleak.analysis.stacks.columns import column, sums
from resleak.analysis.stacks.profiles import layout
from resleak.figures.flame import top
from resleak.figures.flame.encode import Side, encode


def drawing(sides: Sequence[Side], unit: str = "B") -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the payload of one side, or of two (after, before), and the table of its lines."""
    table, per = top.sites(sides), str(sides[0].per)
    payload = {
        **encode(sides),
        "title": None,
        "unit": unit,
        "per": per,
        "empty": _why_empty(sides),
        "selection": {},
        "table": top.written(table, unit, per),
    }
    return payload, table


def answer(tables: Tables) -> dict[str, Any]:
    """Return the payload of the flame graph of one opened memray file."""
    return drawing([layout([tables])])[0]


def _why_empty(sides: Sequence[Side]) -> str | None:
    if any(len(side.edges) < 2 for side in sides):
        return "no capture has stacks of two steady marks: nothing is known of growth"
    for side in sides:
        node = column(side.changes, "node", np.int64)
        if (sums(node, column(side.changes, "bytes", float), 0) > 0).any():
            return None
    return "nothing grew between the steady marks"
