"""Tables of a judgement: outcomes, limits, budgets, causes, origins; and of a comparison."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from resleak import formatting
from resleak.analysis import wording
from resleak.analysis.budgets import BudgetCheck
from resleak.analysis.limits import LimitVerdict
from resleak.analysis.rows import Rows
from resleak.figures.html_table import (
    Table,
    below,
    folded,
    gauge_cell,
    markup,
    numbers,
    swatch,
    table,
    unbroken,
    variant_cell,
)
from resleak.figures.sentences import NOTHING_OPEN, called
from resleak.figures.style import GRID, INK, VARIANTS, order
from resleak.formatting import LEFT, RIGHT, SMALL, Cell, note, right
from resleak.workload.verdict_words import BROKEN, FLAT, HOLDS, UNDECIDED

if TYPE_CHECKING:
    from resleak.analysis.comparison import Comparison, GaugeComparison
    from resleak.analysis.verdicts import ScenarioVerdict, VariantVerdict

_SOURCE = LEFT + SMALL
_CODE = "font-family:ui-monospace,monospace;font-size:0.92em;overflow-wrap:anywhere;"
_NOT_INSPECTED = "No variant was inspected: capture it again without leaving out the stacks."
_ENDS = ["variant", "what", "name", "daemon", "holds", "state", "seconds", "at", "made_at"]


def outcome_table(judgement: ScenarioVerdict) -> Table:
    """Show claim and fix, where there are any, and every variant, as declared and as measured."""
    claim, names = judgement.claim, order(judgement.variants)
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
        # The symptoms that decide: those of evidence, or declared ones.
        deciding = variant.evidence | set(variant.expect)
        symptoms = {gauge: words for gauge, words in variant.symptoms.items() if gauge in deciding}
        symptoms = symptoms or {gauge: {UNDECIDED} for gauge in variant.undecided}
        measured = ", ".join(f"{k} {' and '.join(sorted(words))}" for k, words in symptoms.items())
        is_declared = variant.as_declared if judgement.declares else None
        expected = (declared or "clean") if judgement.declares else "nothing"
        rows.append((called(judgement, name), expected, measured or "clean", is_declared, name))
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
    columns = ["what", "declared", "measured", "same", "variant"]
    return Table(table((*columns[:3], ""), body), pd.DataFrame(rows, columns=columns))


def limits_table(judgement: ScenarioVerdict) -> Table:
    """Show every declared limit and, by variant, the reading that came closest to breaking it."""
    names = order(judgement.variants)
    rows = [(name, limit) for name in names for limit in judgement.variants[name].limits]
    limits = Rows(LimitVerdict, (limit for _, limit in rows))
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
    head = ("variant", "limit", "", right("worst reading"), "from")
    html = table(head, body) if rows else note("No limit is declared.")
    return Table(html, limits.frame.assign(variant=[name for name, _ in rows]))


def budget_table(budgets: pd.DataFrame | Iterable[BudgetCheck]) -> Table:
    """Show what exceeds its budget; what is within, of `analysis.budgets.check`, is folded away."""
    rows = Rows.of(BudgetCheck, budgets)
    if not rows:
        return Table(note("No budget concerns what was measured here."), rows.frame)
    names = order(row.variant for row in rows)
    over, within = ([row for row in rows if row.holds == holds] for holds in (False, True))
    html = _budgets(over, names) if over else ""
    if within:
        count = len({row.variant for row in within})
        readings = formatting.counted(len(within), "reading")
        summary = f"{formatting.counted(count, 'variant')}, {readings} within budget"
        html += folded(summary, _budgets(within, names), is_printed=False)
    return Table(html, rows.frame)


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


def difference(comparison: Comparison) -> Table:
    """Show what changed between two variants, or between one variant's runs at two times.

    The gauge with the worst verdict comes first; those that are flat on both sides are folded away.
    The second column is what the runs certify: "not significant" is not "fixed".
    """
    rows = comparison.rows
    if not rows:
        return Table(note("The two have no gauge in common."), rows.frame)
    ranked = Rows(rows.kind, sorted(rows, key=lambda row: row.severity))
    per = {"h": "hour"}.get(rows[0].readable.per, rows[0].per)
    rates = numbers(comparison.before, comparison.after, f"difference per {per}, interval")
    head = ("gauge", "certificate", *rates)
    flat = [row for row in ranked if row.verdict_before == row.verdict_after == FLAT]
    moved = [row for row in ranked if row not in flat]
    html = table(head, map(_difference_cells, moved)) if moved else ""
    if flat:
        summary = f"flat before and after: {', '.join(row.gauge for row in flat)}"
        html += folded(summary, table(head, map(_difference_cells, flat)), is_open=not moved)
    return Table(html, ranked.frame)


def _difference_cells(row: GaugeComparison) -> list[Cell]:
    row = row.readable
    values = (
        (row.before, row.verdict_before),
        (row.after, row.verdict_after),
        (row.difference, wording.bounds(row.low, row.high, row.unit)),
    )
    if math.isnan(row.p):
        certified = "refused: too few runs read this gauge"
    elif row.equivalent:
        certified = f"after: within ±{row.rate(row.margin)}, 95 % confidence"
    elif row.lower:
        certified = f"lower, but not shown to be below {row.rate(row.margin)}"
    else:
        certified = "no reduction shown"
    return [
        gauge_cell(row.gauge, row.unit),
        Cell(certified),
        *(markup(escape(wording.bare(n, row.unit)) + below(text), RIGHT) for n, text in values),
    ]


def openings_table(variant: VariantVerdict) -> Table:
    """Show which lines opened what leaks, the largest share of each gauge first."""
    origins = variant.origins
    head = ("gauge", "opened in", "file and line", *numbers("per step", "share"))
    body = [
        (
            *(one.gauge, one.function, f"{one.file}:{one.line}" if one.file else "unknown"),
            right(formatting.number(one.per_step)),
            right(formatting.share(one.share)),
        )
        for one in origins
    ]
    return Table(table(head, body) if origins else note(NOTHING_OPEN), origins.frame)


def culprits_table(judgement: ScenarioVerdict) -> Table:
    """Show the causes of each variant's symptoms, one sentence per row."""
    variants, head = judgement.variants, ["variant", "because"]
    rows = [(name, text) for name in order(variants) for text in variants[name].because]
    body = [(name, Cell(text, style=LEFT + "overflow-wrap:anywhere;")) for name, text in rows]
    nothing = note("No retaining reference and no blocking call was found.")
    return Table(table(head, body) if rows else nothing, pd.DataFrame(rows, columns=head))


def end_timeline(judgement: ScenarioVerdict) -> Table:
    """Show what was alive when the process was to end, from when to when, and what delayed it.

    One row for each thread, task, callback or clean-up; the bars of one variant share their scale,
    which begins with the first of them.
    """
    culprits = {name: judgement.variants[name].culprits for name in order(judgement.variants)}
    tables = {name: one.exit for name, one in culprits.items() if len(one.exit)}
    if not tables:
        is_inspected = any(one.status for one in culprits.values())
        message = "All end at once." if is_inspected else _NOT_INSPECTED
        return Table(note(message), pd.DataFrame(columns=_ENDS))
    frame = pd.concat([t.assign(variant=name) for name, t in tables.items()], ignore_index=True)
    head = ("variant", "who", "delays by", "", "stands at", "made at")
    body = [row for name, rows in tables.items() for row in _end_rows(name, rows)]
    return Table(table(head, body), frame[_ENDS])


def _end_rows(variant: str, rows: pd.DataFrame) -> Iterator[list[Cell]]:
    begin = float(rows["first_s"].min())
    whole = max(float(rows["last_s"].max()) - begin, 1e-9)
    for row in rows.to_dict(orient="records"):
        left = 100 * (row["first_s"] - begin) / whole
        width = max(1.0, 100 * (row["last_s"] - row["first_s"]) / whole)
        colour = VARIANTS["leaky"].colour if row["holds"] else INK
        inner = f"margin-left:{left:.1f}%;width:{min(width, 100 - left):.1f}%;background:{colour};"
        outer = f"width:10em;height:0.9em;background:{GRID};"
        yield [
            Cell(variant),
            Cell(f"{row['what']} {row['name']}".strip()),
            right(formatting.amount(row["seconds"], "s") if row["holds"] else "no"),
            markup(f'<div style="{outer}"><div style="height:100%;{inner}"></div></div>'),
            _place(row["at"], row["waits_in"]),
            _place(row["made_at"]),
        ]


def _place(place: str, waits_in: str = "") -> Cell:
    """Return a cell with a line, its file without its folders, and what the line has called."""
    name = place if place.startswith("<") else place.rpartition("/")[2]
    text = f"{waits_in}, {name}" if waits_in else name
    return markup(f'<span title="{escape(place)}">{unbroken(text)}</span>', _CODE)


def holders_table(judgement: ScenarioVerdict, variant: str = "leaky") -> Table:
    """Show the shortest reference chains from named objects to what is retained, as a tree.

    The captures need the instrument ``forensics``. What a chain shares with the one above is not
    repeated. ``per step`` is the growth of the type at its end, ``share`` the share of the type's
    samples with this chain.
    """
    culprits = judgement.variants[variant].culprits
    if not len(culprits.retention):
        message = "No retained object was found." if culprits.status else _NOT_INSPECTED
        return Table(note(message), pd.DataFrame(columns=["path", "type", "per_step", "share"]))
    body: list[list[Cell]] = []
    above: list[str] = []
    rows = culprits.retention.sort_values("path", kind="stable")
    for row in rows.to_dict(orient="records"):
        tokens = row["path"].split(" → ")
        same = [one == other for one, other in zip(above, tokens[:-1], strict=False)]
        shared = [*same, False].index(False)
        path = Cell(" → ".join(tokens[shared:]), style=f"padding-left:{10 + 16 * shared}px;{_CODE}")
        rate = f"{formatting.number(row['per_step'])} {row['type']}"
        body.append([path, right(rate), right(formatting.share(row["share"]))])
        above = tokens
    head = ("retained by", *numbers("per step"), "share")
    return Table(table(head, body), culprits.retention)
