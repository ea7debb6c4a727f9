"""Before against after, gauge by gauge: both rates, what changed, and how sure that is."""

from __future__ import annotations

from collections.abc import Hashable
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from resleak import formatting
from resleak.figures.html_table import (
    SMALL,
    Cell,
    Table,
    bounds,
    gauge_cell,
    note,
    right,
    table,
    text,
)
from resleak.workload.scenario import VERDICTS

if TYPE_CHECKING:
    from resleak.analysis.comparison import Comparison


def difference(comparison: Comparison) -> Table:
    """Show what changed between two variants, or between one variant's runs at two times.

    Parameters
    ----------
    comparison : Comparison
        Of `resleak.compare`.

    Returns
    -------
    Table
        The gauge with the worst verdict first. The last column says what the runs certify:
        "not significant" is not "fixed".
    """
    rows = comparison.frame
    if rows.empty:
        return Table(note("The two have no gauge in common."), rows)
    ranked = rows.iloc[_rank(rows).argsort(kind="stable")].reset_index(drop=True)
    heads = (comparison.before, comparison.after, "difference per step, interval")
    numbers = [text(head, "text-align:right;") for head in heads]
    head = [text("gauge"), *numbers, text("what that certifies")]
    return Table(table(head, map(_cells, ranked.to_dict("records"))), ranked)


def _rank(rows: pd.DataFrame) -> pd.Series:
    place = {word: number for number, word in enumerate(VERDICTS)}
    return rows[["verdict_before", "verdict_after"]].replace(place).astype(int).min(axis=1)


def _cells(row: dict[Hashable, Any]) -> list[Cell]:
    unit = "B" if row["unit"] == "B" else ""
    sides = [_side(row[side], row[f"verdict_{side}"], unit) for side in ("before", "after")]
    changed = formatting.amount(row["difference"], unit)
    between = bounds(row["low"], row["high"], unit)
    told = Cell(f'{escape(changed)}<div style="{SMALL}">{escape(between)}</div>', right("").style)
    return [gauge_cell(str(row["gauge"]), str(row["unit"])), *sides, told, text(_certified(row))]


def _side(rate: float, verdict: str, unit: str) -> Cell:
    word = f'<div style="{SMALL}">{escape(verdict)}</div>'
    return Cell(escape(formatting.amount(rate, unit)) + word, right("").style)


def _certified(row: dict[Hashable, Any]) -> str:
    margin = formatting.rate(row["margin"], row["unit"], str(row.get("per", "step")))
    if row["certificate"] == "refused":
        return "refused: too few runs read this gauge"
    if row["equivalent"]:
        return f"after: within ±{margin}, 95 % sure"
    if row["lower"]:
        return f"lower, but not shown to be below {margin}"
    return "no lower rate shown"
