"""Causes from the inspection: sentences, what delays the end, and what retains memory."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from resleak import formatting
from resleak.figures.html_table import Table, markup, numbers, table
from resleak.figures.style import GRID, INK, VARIANTS, order
from resleak.formatting import LEFT, Cell, note, right

if TYPE_CHECKING:
    from resleak.analysis.verdicts import ScenarioVerdict

_NOT_INSPECTED = "No variant was inspected: capture it again without leaving out the stacks."
_HOLDS, _RESTS = VARIANTS["leaky"].colour, INK
_CODE = "font-family:ui-monospace,monospace;font-size:0.92em;overflow-wrap:anywhere;"


def culprits_table(judgement: ScenarioVerdict) -> Table:
    """Show the causes of each variant's symptoms, one sentence per row."""
    variants = judgement.variants
    rows = [(name, s) for name in order(list(variants)) for s in variants[name].because]
    frame = pd.DataFrame(rows, columns=["variant", "because"])
    if not rows:
        return Table(note("No retaining reference and no blocking call was found."), frame)
    body = [(name, Cell(text, style=LEFT + "overflow-wrap:anywhere;")) for name, text in rows]
    return Table(table(("variant", "because"), body), frame)


def end_timeline(judgement: ScenarioVerdict) -> Table:
    """Show what was alive when the process was to end, from when to when, and what delayed it.

    One row for each thread, task, callback or clean-up; the bars of one variant share their scale,
    which begins with the first of them.
    """
    tables = {name: v.culprits.exit for name, v in judgement.variants.items()}
    tables = {name: tables[name] for name in order(list(tables)) if len(tables[name])}
    columns = ["variant", "what", "name", "daemon", "holds", "state", "seconds", "at", "made_at"]
    if not tables:
        is_inspected = any(variant.culprits.status for variant in judgement.variants.values())
        message = "All end at once." if is_inspected else _NOT_INSPECTED
        return Table(note(message), pd.DataFrame(columns=columns))
    frame = pd.concat([t.assign(variant=name) for name, t in tables.items()], ignore_index=True)
    head = ("variant", "who", "delays by", "", "stands at", "made at")
    body = [row for name, rows in tables.items() for row in _end_rows(name, rows)]
    return Table(table(head, body), frame[columns])


def _place(place: str, waits_in: str = "") -> Cell:
    """Return a cell with a line, its file without its folders, and what the line has called."""
    name = place if place.startswith("<") else place.rpartition("/")[2]
    text = f"{waits_in}, {name}" if waits_in else name
    return markup(f'<span title="{escape(place)}">{escape(text)}</span>', _CODE)


def _end_rows(variant: str, rows: pd.DataFrame) -> Iterator[list[Cell]]:
    begin, end = float(rows["first_s"].min()), float(rows["last_s"].max())
    for row in rows.to_dict(orient="records"):
        yield [
            Cell(variant),
            Cell(f"{row['what']} {row['name']}".strip()),
            right(formatting.amount(row["seconds"], "s") if row["holds"] else "no"),
            markup(_bar(row, begin, max(end - begin, 1e-9))),
            _place(row["at"], row["waits_in"]),
            _place(row["made_at"]),
        ]


def _bar(row: dict[Any, Any], begin: float, whole: float) -> str:
    left = 100 * (row["first_s"] - begin) / whole
    width = max(1.0, 100 * (row["last_s"] - row["first_s"]) / whole)
    colour = _HOLDS if row["holds"] else _RESTS
    outer = f"width:10em;height:0.9em;background:{GRID};"
    inner = f"margin-left:{left:.1f}%;width:{min(width, 100 - left):.1f}%;background:{colour};"
    return f'<div style="{outer}"><div style="height:100%;{inner}"></div></div>'


def holders_table(judgement: ScenarioVerdict, variant: str = "leaky") -> Table:
    """Show the shortest reference chains from named objects to what is retained, as a tree.

    The captures need the instrument ``forensics``. What a chain shares with the one above is not
    repeated. ``per step`` is the growth of the type at its end, ``share`` the share of the type's
    samples with this chain.
    """
    culprits = judgement.variants[variant].culprits
    rows = culprits.retention
    if not len(rows):
        message = "No retained object was found." if culprits.status else _NOT_INSPECTED
        return Table(note(message), pd.DataFrame(columns=["path", "type", "per_step", "share"]))
    head = ("held by", *numbers("per step"), "share")
    return Table(table(head, _tree(rows)), rows)


def _tree(rows: pd.DataFrame) -> Iterator[list[Cell]]:
    above: list[str] = []
    for row in rows.sort_values("path", kind="stable").to_dict(orient="records"):
        tokens = row["path"].split(" → ")
        same = [one == other for one, other in zip(above, tokens[:-1], strict=False)]
        shared = [*same, False].index(False)
        path = " → ".join(tokens[shared:])
        indent = f"padding-left:{10 + 16 * shared}px;{_CODE}"
        rate = f"{formatting.number(row['per_step'])} {row['type']}"
        yield [Cell(path, style=indent), right(rate), right(formatting.share(row["share"]))]
        above = tokens
