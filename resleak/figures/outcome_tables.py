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
from resleak.figures.html_table import Table, below, folded, markup, swatch, table, variant_cell
from resleak.figures.sentences import called
from resleak.figures.style import order
from resleak.formatting import LEFT, SMALL, Cell, note, right
from resleak.workload.verdict_words import BROKEN, HOLDS, UNDECIDED

if TYPE_CHECKING:
    from resleak.analysis.verdicts import ScenarioVerdict, VariantVerdict

_COLUMNS = ["what", "declared", "measured", "same", "variant"]
_SOURCE = LEFT + SMALL


def outcome_table(judgement: ScenarioVerdict) -> Table:
    """Show claim and fix, where there are any, and every variant, as declared and as measured."""
    claim, names = judgement.claim, order(list(judgement.variants))
    fix, rows = claim["fix"], []
    for what, one in (
        (f"claim {claim['seed']}: {claim['text']}".replace(" :", ":"), claim),
        (f"the fix, {fix['variant']}", fix),
    ):
        if one.get("text") or one["declared"]:
            declared, measured = (one[key] or "none" for key in ("declared", "measured"))
            rows.append((what, declared, measured, declared == measured, ""))
    for name in names:
        variant = judgement.variants[name]
        declared = ", ".join(f"{gauge} {words}" for gauge, words in variant.expect.items())
        symptoms = _counted(variant).items()
        measured = ", ".join(f"{gauge} {' and '.join(sorted(w))}" for gauge, w in symptoms)
        is_declared = variant.as_declared if judgement.declares else None
        expected = (declared or "clean") if judgement.declares else "nothing"
        what = called(judgement, name)
        rows.append((what, expected, measured or "clean", is_declared, name))
    agreement = {True: "as declared", False: "<b>differs</b>", None: ""}
    body = [
        (
            markup((swatch(variant, names) if variant else "") + escape(what)),
            declared,
            markup(f"<b>{escape(measured)}</b>"),
            markup(f'<span style="{SMALL}white-space:nowrap">{agreement[same]}</span>'),
        )
        for what, declared, measured, same, variant in rows
    ]
    head = ("what", "declared", "measured", "")
    return Table(table(head, body), pd.DataFrame(rows, columns=_COLUMNS))


def _counted(variant: VariantVerdict) -> dict[str, set[str]]:
    """Return the symptoms that decide: those of evidence, or declared ones."""
    deciding = variant.evidence | set(variant.expect)
    symptoms = {name: words for name, words in variant.symptoms.items() if name in deciding}
    return symptoms or {name: {UNDECIDED} for name in variant.undecided}


def limits_table(judgement: ScenarioVerdict) -> Table:
    """Show every declared limit and, by variant, the reading that came closest to breaking it."""
    names = order(list(judgement.variants))
    rows = [(name, limit) for name in names for limit in judgement.variants[name].limits]
    limits = Rows(LimitVerdict, (limit for _, limit in rows))
    frame = limits.frame.assign(variant=[name for name, _ in rows])
    if not rows:
        return Table(note("No limit is declared."), frame)
    head = ("variant", "limit", "", right("worst reading"), "from")
    words = {True: HOLDS, False: f"<b>{BROKEN}</b>", None: "not measured"}
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
    """Show what exceeds its budget; what is within, of `analysis.budgets.check`, is folded away."""
    rows = Rows.of(BudgetCheck, budgets)
    if not rows:
        return Table(note("No budget concerns what was measured here."), rows.frame)
    names = order(list(dict.fromkeys(row.variant for row in rows)))
    over, within = ([row for row in rows if row.holds == holds] for holds in (False, True))
    parts = [_budgets(over, names)] if over else []
    if within:
        count = len({row.variant for row in within})
        summary = f"{count} variants, {len(within)} readings within budget"
        parts.append(folded(summary, _budgets(within, names), is_printed=False))
    return Table("".join(parts), rows.frame)


def _budgets(rows: Sequence[BudgetCheck], names: list[str]) -> str:
    head = ("budget", "gauge", "variant", right("measured"), right("allowed"), "", "from")
    body = [
        (
            *(row.budget, row.gauge, variant_cell(row.variant, names)),
            *(right(formatting.amount(n, row.unit)) for n in (row.measured, row.allowed)),
            markup((HOLDS if row.holds else "<b>over</b>") + below(row.note)),
            Cell(row.source, style=_SOURCE),
        )
        for row in rows
    ]
    return table(head, body)
