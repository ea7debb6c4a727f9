"""Tables of outcomes: claim, fix, variants, limits and budgets, declared and measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from resleak import formatting
from resleak.analysis.budgets import BudgetCheck
from resleak.analysis.limits import LimitVerdict
from resleak.analysis.rows import Rows
from resleak.figures.html_table import (
    Table,
    below,
    folded,
    heads,
    markup,
    swatch,
    table,
    variant_cell,
)
from resleak.figures.style import order
from resleak.formatting import LEFT, SMALL, Cell, note, right

if TYPE_CHECKING:
    from resleak.analysis.verdicts import ScenarioVerdict, VariantVerdict

_COLUMNS = ["what", "declared", "measured", "same", "variant"]
_SOURCE = LEFT + SMALL


def outcome_table(judgement: ScenarioVerdict) -> Table:
    """Show claim, fix and variants, each as declared and as measured.

    Returns
    -------
    Table
        One row each for the claim and its fix, where there are any, and for every variant.
    """
    claim, names = judgement.claim, order(list(judgement.variants))
    fix, rows = claim["fix"], []
    if claim["text"]:
        what = f"claim {claim['seed']}: {claim['text']}".replace(" :", ":")
        same = claim["declared"] == claim["measured"]
        rows.append((what, claim["declared"], claim["measured"], same, ""))
    if fix["declared"]:
        same = fix["declared"] == fix["measured"]
        rows.append((f"the fix, {fix['variant']}", fix["declared"], fix["measured"], same, ""))
    for name in names:
        variant = judgement.variants[name]
        declared = ", ".join(f"{gauge} {words}" for gauge, words in variant.expect.items())
        measured = ", ".join(f"{k} {' and '.join(sorted(w))}" for k, w in _counted(variant).items())
        is_declared = variant.as_declared if judgement.declares else None
        said = (declared or "clean") if judgement.declares else "nothing"
        rows.append((name, said, measured or "clean", is_declared, name))
    head = heads("what", "declared", "measured", "")
    body = [_outcome_cells(*row, names=names) for row in rows]
    return Table(table(head, body), pd.DataFrame(rows, columns=_COLUMNS))


def _outcome_cells(
    what: str,
    declared: object,
    measured: object,
    same: bool | None,
    variant: str,
    names: list[str],
) -> list[Cell]:
    agreed = {True: "as declared", False: "<b>differs</b>", None: ""}[same]
    return [
        markup((swatch(variant, names) if variant else "") + escape(what)),
        Cell(str(declared or "none")),
        markup(f"<b>{escape(str(measured or 'none'))}</b>"),
        markup(f'<span style="{SMALL}white-space:nowrap">{agreed}</span>'),
    ]


def _counted(variant: VariantVerdict) -> dict[str, set[str]]:
    """Return the symptoms that decide: those of evidence, or declared ones."""
    deciding = variant.evidence | set(variant.expect)
    symptoms = {name: words for name, words in variant.symptoms.items() if name in deciding}
    return symptoms or {name: {"inconclusive"} for name in variant.undecided}


def limits_table(judgement: ScenarioVerdict) -> Table:
    """Show every declared limit and, by variant, the reading that came closest to breaking it.

    Returns
    -------
    Table
        Says so in words where no limit is declared.
    """
    names = order(list(judgement.variants))
    rows = [(name, limit) for name in names for limit in judgement.variants[name].limits]
    limits = Rows(LimitVerdict, (limit for _, limit in rows))
    frame = limits.frame.assign(variant=[name for name, _ in rows])
    if not rows:
        return Table(note("No limit is declared."), frame)
    head = [*heads("variant", "limit", ""), right("worst reading"), Cell("from")]
    words = {True: "holds", False: "<b>broken</b>", None: "not measured"}
    body = [
        [
            variant_cell(name, names),
            Cell(limit.limit),
            markup(words[limit.holds]),
            right(formatting.number(limit.worst)),
            Cell(limit.source, style=_SOURCE),
        ]
        for name, limit in rows
    ]
    return Table(table(head, body), frame)


def budget_table(budgets: pd.DataFrame | Iterable[BudgetCheck]) -> Table:
    """Show what each variant takes of each budget.

    Parameters
    ----------
    budgets : DataFrame or iterable of BudgetCheck
        Of `resleak.analysis.budgets.check`.

    Returns
    -------
    Table
        What exceeds its budget; what is within is folded away.
    """
    rows = Rows.of(BudgetCheck, budgets)
    if not rows:
        return Table(note("No budget concerns what was measured here."), rows.frame)
    names = order(list(dict.fromkeys(row.variant for row in rows)))
    over, within = ([row for row in rows if row.holds == holds] for holds in (False, True))
    parts = [_budgets(over, names)] if over else []
    if within:
        count = len({row.variant for row in within})
        summary = f"{count} variants, {len(within)} readings within budget"
        parts.append(folded(summary, _budgets(within, names)))
    return Table("".join(parts), rows.frame)


def _budgets(rows: Sequence[BudgetCheck], names: list[str]) -> str:
    head = [*heads("budget", "gauge", "variant"), right("measured"), right("allowed")]
    return table([*head, *heads("", "from")], [_budget_cells(row, names) for row in rows])


def _budget_cells(row: BudgetCheck, names: list[str]) -> list[Cell]:
    measured, allowed = (formatting.amount(n, row.unit) for n in (row.measured, row.allowed))
    return [
        Cell(row.budget),
        Cell(row.gauge),
        variant_cell(row.variant, names),
        right(measured),
        right(allowed),
        markup(("holds" if row.holds else "<b>over</b>") + below(row.told)),
        Cell(row.source, style=_SOURCE),
    ]
