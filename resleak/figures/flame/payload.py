"""The payload of a flame graph, as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from resleak import formatting
from resleak.analysis.stacks.allocation_sites import FRAME, Tables, site_of
from resleak.analysis.stacks.columns import column, rows, subset, sums
from resleak.analysis.stacks.profiles import Layout, layout
from resleak.captures.decode.trie import HARNESS
from resleak.figures.flame.encode import encode

#: Rows of the table for pages where no script may run.
_MOST = 10


def drawing(
    sides: Sequence[Layout], unit: str = "B"
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the payload of one side, or of two (after, before), and the table of its lines."""
    table, per = largest(sides), str(sides[0].per)
    frames = sides[0].frames
    shown = zip(column(frames, "file").tolist(), column(frames, "line").tolist(), strict=True)
    known = {place: text for side in sides for place, text in side.sources.items()}
    texts = {f"{file}:{line}": known[file, line] for file, line in {*shown} & {*known}}
    payload = {
        **encode(sides),
        "sources": dict(sorted(texts.items())),
        "title": None,
        "unit": unit,
        "per": per,
        "empty": _why_empty(sides),
        "selection": {},
        "table": _texts(table, unit, per, texts),
    }
    return payload, table


def answer(tables: Tables) -> dict[str, Any]:
    """Return the payload of the flame graph of one opened memray file."""
    return drawing([layout([tables])])[0]


def _why_empty(sides: Sequence[Layout]) -> str | None:
    if any(len(side.edges) < 2 for side in sides):
        return "no capture has stacks of two steady marks: nothing is known of growth"
    grew = any((side.per_step() > 0).any() for side in sides)
    return None if grew else "nothing grew between the steady marks"


def largest(sides: Sequence[Layout]) -> dict[str, np.ndarray]:
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
    rates = [sums(of, side.per_step(), len(lines)) for side in sides]
    if len(rates) == 1:
        size = growth = np.maximum(rates[0], 0.0)
        table |= {"per_step": growth, "share": growth / (growth.sum() or 1.0)}
    else:
        after, before = rates
        size = np.abs(after - before)
        table |= {"after": after, "before": before, "change": after - before}
    size[table["function"] == HARNESS] = 0.0  # the caller of what a step leaves in free lists
    order = np.argsort(-size, kind="stable")[:_MOST]
    return subset(table, table, order[size[order] > 0])


def _texts(
    table: dict[str, np.ndarray], unit: str, per: str, sources: Mapping[str, str]
) -> dict[str, list[Any]]:
    """Return a table of `largest` as text: a head and rows."""
    numbers = [name for name in table if name not in FRAME]
    usual = {"per_step": f"per {per}", "share": "share of the growth"}
    heads = [usual.get(name, f"{name}, per {per}") for name in numbers]
    rows = []
    for function, file, line, *values in zip(*(table[n] for n in (*FRAME, *numbers)), strict=True):
        texts = [
            formatting.share(value) if name == "share" else formatting.amount(value, unit)
            for name, value in zip(numbers, values, strict=True)
        ]
        place = f"{file}:{line}" if file else ""
        source = sources.get(place, "").split("\n")
        text = source[len(source) // 2].strip()
        rows.append([str(function), f"{place}  {text}".rstrip(), *texts])
    return {"head": ["function", "file and line", *heads], "rows": rows}
