"""Causes from the inspection: sentences, what delays the end, and what retains memory."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from resleak import formatting
from resleak.figures.html_table import Table, heads, markup, table
from resleak.figures.style import GRID, INK, VARIANTS, order
from resleak.formatting import LEFT, Cell, note, right

if TYPE_CHECKING:
    from resleak.analysis.verdicts import ScenarioVerdict

_NOT_INSPECTED = "No variant was inspected: capture it again without leaving out the stacks."
_HOLDS, _RESTS = VARIANTS["leaky"].colour, INK
_CODE = "font-family:ui-monospace,monospace;font-size:0.92em;overflow-wrap:anywhere;"


def culprits_table(judgement: ScenarioVerdict) -> Table:
    """Show the causes of each variant's symptoms.

    Returns
    -------
    Table
        One row per sentence: ``variant because``.
    """
    variants = judgement.variants
    rows = [(name, s) for name in order(list(variants)) for s in variants[name].because]
    frame = pd.DataFrame(rows, columns=["variant", "because"])
    if not rows:
        return Table(note("No retaining reference and no blocking call was found."), frame)
    body = [(name, Cell(text, style=LEFT + "overflow-wrap:anywhere;")) for name, text in rows]
    return Table(table(heads("variant", "because"), body), frame)


def end_timeline(judgement: ScenarioVerdict) -> Table:
    """Show what was alive when the process was to end, from when to when, and what delayed it.

    Returns
    -------
    Table
        One row for each thread, task, callback or clean-up; the bars of one variant share their
        scale, which begins with the first of them.
    """
    tables = {name: v.culprits.exit for name, v in judgement.variants.items()}
    tables = {name: tables[name] for name in order(list(tables)) if len(tables[name])}
    if not tables:
        return Table(note(_NOT_INSPECTED if _unseen(judgement) else "All end at once."), _none())
    frame = pd.concat([t.assign(variant=name) for name, t in tables.items()], ignore_index=True)
    head = heads("variant", "who", "delays by", "", "stands at", "made at")
    body = [row for name, rows in tables.items() for row in _end_rows(name, rows)]
    columns = ["variant", "what", "name", "daemon", "holds", "state", "seconds", "at", "made_at"]
    return Table(table(head, body), frame[columns])


def _unseen(judgement: ScenarioVerdict) -> bool:
    return not any(variant.culprits.status for variant in judgement.variants.values())


def _none() -> pd.DataFrame:
    return pd.DataFrame(columns=["variant", "what", "name", "seconds"])


def _place(row: dict[Any, Any], column: str = "at") -> Cell:
    """Return a cell with a line, its file without its folders, and what the line has called."""
    place = str(row[column])
    named = place if place.startswith("<") else place.rpartition("/")[2]
    within = f"{row['waits_in']}, " if column == "at" and row["waits_in"] else ""
    return markup(f'<span title="{escape(place)}">{escape(within + named)}</span>', _CODE)


def _end_rows(variant: str, rows: pd.DataFrame) -> Iterator[list[Cell]]:
    begin, end = float(rows["first_s"].min()), float(rows["last_s"].max())
    for row in rows.to_dict(orient="records"):
        yield [
            Cell(variant),
            Cell(f"{row['what']} {row['name']}".strip()),
            right(formatting.amount(row["seconds"], "s") if row["holds"] else "no"),
            markup(_bar(row, begin, max(end - begin, 1e-9))),
            _place(row),
            _place(row, "made_at"),
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

    Parameters
    ----------
    judgement : ScenarioVerdict
        Of `resleak.judge`, on captures with the instrument ``forensics``.
    variant : str
        Its name.

    Returns
    -------
    Table
        What a chain shares with the one above is not repeated. ``per step`` is the growth of the
        type at its end, ``share`` the share of the type's samples with this chain.
    """
    culprits = judgement.variants[variant].culprits
    rows = culprits.retention
    if not len(rows):
        message = "No retained object was found." if culprits.status else _NOT_INSPECTED
        return Table(note(message), pd.DataFrame(columns=["path", "type", "per_step", "share"]))
    head = [*heads("held by", numbers=("per step",)), Cell("share")]
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


def stalls_table(judgement: ScenarioVerdict) -> Table:
    """Show the lines where steps spend their time, and what that blocks.

    Returns
    -------
    Table
        ``variant kind share longest_s at waits_in loop``, the longest of each variant first.
    """
    tables = {name: v.culprits.stalls for name, v in judgement.variants.items()}
    parts = [tables[n].assign(variant=n) for n in order(list(tables)) if len(tables[n])]
    columns = ["variant", "kind", "share", "longest_s", "at", "waits_in", "loop"]
    if not parts:
        message = _NOT_INSPECTED if _unseen(judgement) else "No step took long enough to be seen."
        return Table(note(message), pd.DataFrame(columns=columns))
    frame = pd.concat(parts, ignore_index=True)[columns]
    head = heads("variant", "what it does", "share", "longest", "at")
    body = [
        [
            Cell(row["variant"]),
            Cell(row["kind"]),
            right(formatting.share(row["share"])),
            right(formatting.amount(row["longest_s"], "s")),
            _place(row),
        ]
        for row in frame.to_dict(orient="records")
    ]
    return Table(table(head, body), frame)
