"""What became of a claim, of its fix, of each variant and of the limits: declared, measured."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from resleak import formatting
from resleak.figures.html_table import SMALL, Cell, Table, note, right, swatch, table, text
from resleak.figures.style import order

if TYPE_CHECKING:
    from resleak.analysis.verdicts import ScenarioVerdict, VariantVerdict

_HEAD = [text("what"), text("declared"), text("measured"), text("")]


def outcome_table(judgement: ScenarioVerdict) -> Table:
    """Show claim, fix and variants, each as its file declares it and as it was measured.

    Parameters
    ----------
    judgement : ScenarioVerdict
        Of `resleak.judge`.

    Returns
    -------
    Table
        One row each for the claim and its fix, where there are any, and for every variant.
    """
    claim, names = judgement.claim, order(list(judgement.variants))
    rows = [_claim(claim), _fix(claim["fix"])]
    rows += [_variant(judgement.variants[name], judgement.declares) for name in names]
    frame = pd.DataFrame([row for row in rows if row])
    body = [_cells(row, names) for row in frame.to_dict("records")]
    return Table(table(_HEAD, body), frame)


def _claim(claim: Mapping[str, Any]) -> dict[str, Any] | None:
    if not claim["text"]:
        return None
    told = f"claim {claim['seed']}: {claim['text']}" if claim["seed"] else f"claim: {claim['text']}"
    return _row(told, claim["declared"], claim["measured"], claim["declared"] == claim["measured"])


def _fix(fix: Mapping[str, Any]) -> dict[str, Any] | None:
    if not fix["declared"]:
        return None
    same = fix["declared"] == fix["measured"]
    return _row(f"the fix, {fix['variant']}", fix["declared"], fix["measured"], same)


def _variant(variant: VariantVerdict, declares: bool) -> dict[str, Any]:
    declared = ", ".join(f"{name} {words}" for name, words in variant.expect.items())
    found = ", ".join(f"{k} {' and '.join(sorted(w))}" for k, w in _counted(variant).items())
    said = (declared or "clean") if declares else "nothing"
    row = _row(variant.name, said, found or "clean", variant.as_declared if declares else None)
    return {**row, "variant": variant.name}


def _counted(variant: VariantVerdict) -> dict[str, set[str]]:
    """Return the symptoms that decide: those of what is evidence here, or declared."""
    deciding = variant.evidence | set(variant.expect)
    found = {name: words for name, words in variant.symptoms.items() if name in deciding}
    return found or {name: {"inconclusive"} for name in variant.undecided}


def _row(what: str, declared: object, measured: object, same: bool | None) -> dict[str, Any]:
    told = {"declared": str(declared or "none"), "measured": str(measured or "none"), "same": same}
    return {"what": what, **told, "variant": ""}


def _cells(row: dict[Hashable, Any], names: list[str]) -> list[Cell]:
    mark = swatch(str(row["variant"]), names) if row["variant"] else ""
    agreed = {True: "as declared", False: "<b>differs</b>", None: ""}[row["same"]]
    return [
        Cell(mark + escape(str(row["what"]))),
        text(row["declared"]),
        Cell(f"<b>{escape(str(row['measured']))}</b>"),
        Cell(f'<span style="{SMALL}white-space:nowrap">{agreed}</span>'),
    ]


def limits_table(judgement: ScenarioVerdict) -> Table:
    """Show every declared limit and, by variant, the reading that came closest to breaking it.

    Parameters
    ----------
    judgement : ScenarioVerdict
        Of `resleak.judge`.

    Returns
    -------
    Table
        Says so in words where no limit is declared.
    """
    names = order(list(judgement.variants))
    parts = [judgement.variants[name].limits.assign(variant=name) for name in names]
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if frame.empty:
        return Table(note("No limit is declared."), frame)
    head = [text("variant"), text("limit"), text(""), right("worst reading"), text("from")]
    body = [_limit_cells(row, names) for row in frame.to_dict("records")]
    return Table(table(head, body), frame)


def _limit_cells(row: dict[Hashable, Any], names: list[str]) -> list[Cell]:
    name = str(row["variant"])
    words = {True: "holds", False: "<b>broken</b>"}
    return [
        Cell(swatch(name, names) + escape(name), "white-space:nowrap;text-align:left;"),
        text(row["limit"]),
        Cell(words.get(row["holds"], "not measured")),
        right(formatting.number(float(row["worst"]))),
        text(row["source"], f"text-align:left;{SMALL}"),
    ]


def budget_table(budgets: pd.DataFrame) -> Table:
    """Show what each variant takes of each budget.

    Parameters
    ----------
    budgets : DataFrame
        Of `resleak.analysis.budgets.check`.

    Returns
    -------
    Table
        What is over its budget; what is within is folded away.
    """
    if budgets.empty:
        return Table(note("No budget concerns what was measured here."), budgets)
    names = order(list(budgets["variant"].unique()))
    held = budgets["holds"].astype(bool)
    parts = [_budgets(budgets[~held], names)] if not held.all() else []
    if held.any():
        within = (
            f"{budgets['variant'][held].nunique()} variants, {held.sum()} readings within budget"
        )
        summary = f'<summary style="cursor:pointer">{within}</summary>'
        parts.append(f"<details>{summary}{_budgets(budgets[held], names)}</details>")
    return Table("".join(parts), budgets)


def _budgets(rows: pd.DataFrame, names: list[str]) -> str:
    heads = ("budget", "gauge", "variant")
    head = [*map(text, heads), right("measured"), right("allowed"), text(""), text("from")]
    return table(head, [_budget_cells(row, names) for row in rows.to_dict("records")])


def _budget_cells(row: dict[Hashable, Any], names: list[str]) -> list[Cell]:
    unit, name = str(row["unit"]), str(row["variant"])
    told = f'<div style="{SMALL}">{escape(str(row["told"]))}</div>' if row["told"] else ""
    return [
        text(row["budget"]),
        text(row["gauge"]),
        Cell(swatch(name, names) + escape(name), "white-space:nowrap;text-align:left;"),
        right(formatting.amount(float(row["measured"]), unit)),
        right(formatting.amount(float(row["allowed"]), unit)),
        Cell(("holds" if row["holds"] else "<b>over</b>") + told),
        text(row["source"], f"text-align:left;{SMALL}"),
    ]
