"""Before against after, gauge by gauge: both rates, the difference, and the certificate."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from resleak.analysis import wording
from resleak.analysis.rows import Rows
from resleak.figures.html_table import Table, below, folded, gauge_cell, markup, numbers, table
from resleak.formatting import RIGHT, Cell, note
from resleak.workload.verdict_words import FLAT

if TYPE_CHECKING:
    from resleak.analysis.comparison import Comparison, GaugeComparison


def difference(comparison: Comparison) -> Table:
    """Show what changed between two variants, or between one variant's runs at two times.

    The gauge with the worst verdict comes first; those that are flat on both sides are folded away.
    The second column says what the runs certify: "not significant" is not "fixed".
    """
    rows = comparison.rows
    if not rows:
        return Table(note("The two have no gauge in common."), rows.frame)
    ranked = Rows(rows.kind, sorted(rows, key=lambda row: row.severity))
    rates = numbers(comparison.before, comparison.after, "difference per step, interval")
    head = ("gauge", "what that certifies", *rates)
    flat = [row for row in ranked if row.verdict_before == row.verdict_after == FLAT]
    moved = [row for row in ranked if row not in flat]
    parts = [table(head, map(_cells, moved))] if moved else []
    if flat:
        summary = f"flat before and after: {', '.join(row.gauge for row in flat)}"
        parts.append(folded(summary, table(head, map(_cells, flat)), is_open=not moved))
    return Table("".join(parts), ranked.frame)


def _cells(row: GaugeComparison) -> list[Cell]:
    def number(value: float, beneath: str) -> Cell:
        return markup(escape(wording.bare(value, row.unit)) + below(beneath), RIGHT)

    return [
        gauge_cell(row.gauge, row.unit),
        Cell(_certified(row)),
        number(row.before, row.verdict_before),
        number(row.after, row.verdict_after),
        number(row.difference, wording.bounds(row.low, row.high, row.unit)),
    ]


def _certified(row: GaugeComparison) -> str:
    margin = row.rate(row.margin)
    if row.certificate == "refused":
        return "refused: too few runs read this gauge"
    if row.equivalent:
        return f"after: within ±{margin}, 95 % sure"
    return f"lower, but not shown to be below {margin}" if row.lower else "no lower rate shown"
