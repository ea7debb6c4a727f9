"""The lines that retain most, as a table for pages where no script may run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from resleak import formatting
from resleak.analysis.stacks.allocation_sites import FRAME, site_of
from resleak.analysis.stacks.columns import column, rows, sums, taken
from resleak.figures.flame.encode import Side

_MOST = 10


def sites(sides: Sequence[Side]) -> dict[str, np.ndarray]:
    """Return net growth by line, at most ten rows, the largest first.

    ``function file line per_step share``; of two sides (after, before) ``after``, ``before`` and
    ``change``.
    """
    frames = rows(sides[0].frames, FRAME, site_of(sides[0].frames))
    lines = sorted(set(frames))
    number = {line: n for n, line in enumerate(lines)}
    of = np.array([number[frame] for frame in frames], dtype=np.int64)
    columns = zip(*lines, strict=True) if lines else [()] * len(FRAME)
    table = {name: np.array(c, dtype=object) for name, c in zip(FRAME, columns, strict=True)}
    rates = [sums(of, _per_step(side), len(lines)) for side in sides]
    return _largest(table | _grown(*rates) if len(rates) == 1 else table | _changed(*rates))


def _grown(per_step: np.ndarray) -> dict[str, np.ndarray]:
    grew = np.maximum(per_step, 0.0)
    return {"per_step": grew, "share": grew / (grew.sum() or 1.0)}


def _changed(after: np.ndarray, before: np.ndarray) -> dict[str, np.ndarray]:
    return {"after": after, "before": before, "change": after - before}


def _largest(table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    size = np.abs(table["change"] if "change" in table else table["per_step"])
    order = np.argsort(-size, kind="stable")[:_MOST]
    return taken(table, table, order[size[order] > 0])


def written(table: dict[str, np.ndarray], unit: str, per: str) -> dict[str, list[Any]]:
    """Return a table of `sites` as text: a head and rows."""
    numbers = [name for name in table if name not in FRAME]
    known = {"per_step": f"per {per}", "share": "share of the growth"}
    heads = [known.get(name, f"{name}, per {per}") for name in numbers]
    texts = [[_text(name, value, unit) for value in table[name].tolist()] for name in numbers]
    named = zip(table["function"], table["file"], table["line"], strict=True)
    places = [[str(function), f"{f}:{n}" if f else ""] for function, f, n in named]
    cells = [[*place, *row] for place, row in zip(places, zip(*texts, strict=True), strict=True)]
    return {"head": ["function", "file and line", *heads], "rows": cells}


def _text(name: str, value: float, unit: str) -> str:
    return formatting.share(value) if name == "share" else formatting.amount(value, unit)


def _per_step(side: Side) -> np.ndarray:
    node, change = column(side.changes, "node", np.int64), column(side.changes, "bytes", float)
    steps = float(side.edges[-1] - side.edges[0]) if len(side.edges) > 1 else 1.0
    return sums(node, change, len(column(side.frames, "parent"))) / steps
