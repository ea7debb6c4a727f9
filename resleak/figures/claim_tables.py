"""The register of claims: one row each, with its outcome, the number it rests on, and its fix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import pandas as pd

from resleak.analysis.claims_table import GLYPHS, summary
from resleak.figures.html_table import SMALL, Cell, Table, note, table, text
from resleak.figures.sentences import inline
from resleak.formatting import markdown_text

_COLOURS = {"harmful": "#D55E00", "insufficient": "#B8860B", "holds": "#009E73"}
_FIGURE = "text-align:left;min-width:13em;"
_UNDECIDED = "inconclusive"
_HEAD = ("#", "what was claimed", "measured", "its fix")


def claims_table(findings: pd.DataFrame, cases: Mapping[str, str] | None = None) -> Table:
    """Show what became of every claim and of every fix.

    Parameters
    ----------
    findings : DataFrame
        Of `resleak.analysis.claims_table.findings`.
    cases : mapping of str to str, optional
        For each system where its case file is, to link there.

    Returns
    -------
    Table
        A part for each system, in the order of the seeds; a summary stands below.
    """
    if findings.empty:
        return Table(note("There are no captures to judge."), findings)
    body: list[list[Cell]] = []
    for system, part in findings.groupby("system", sort=False):
        body.append([_section(str(system), (cases or {}).get(str(system), ""))])
        body += [_cells(row) for row in part.to_dict("records")]
    return Table(table([text(name) for name in _HEAD], body) + note(summary(findings)), findings)


def claims_markdown(findings: pd.DataFrame, cases: Mapping[str, str] | None = None) -> str:
    """Return the register as Markdown, for a README or an issue.

    Parameters
    ----------
    findings, cases
        As for `claims_table`.
    """
    return "\n".join(_markdown(findings, cases or {}))


def _section(system: str, case: str) -> Cell:
    name = f'<a href="{escape(case)}">{escape(system)}</a>' if case else escape(system)
    return Cell(f"<b>{name}</b>", "text-align:left;padding-top:14px;", columns=len(_HEAD))


def _cells(row: Mapping[Any, Any]) -> list[Cell]:
    name = str(row["scenario"]).partition("/")[2] or str(row["scenario"])
    told = inline(str(row["claim"] or row["title"]))
    where = f'<code title="{escape(str(row["title"]))}">{escape(name)}</code>'
    fix = _outcome(row["fix"]) + f"&#160; {escape(str(row['fix_variant']))}" if row["fix"] else ""
    return [
        text(_number(row["seed"]), f"text-align:left;{SMALL}"),
        Cell(told + _below(where), "text-align:left;min-width:16em;"),
        Cell(_outcome(row["outcome"]) + _figure(row["figure"]), _FIGURE),
        Cell(fix + _figure(row["fix_figure"]), _FIGURE),
    ]


def _number(seed: str) -> str:
    """Return the section of a seed, without the number of its document."""
    rest = seed[3:].strip()
    return rest if seed[:3].isdigit() and rest else seed


def _outcome(word: str) -> str:
    glyph, colour = GLYPHS.get(word, "?"), _COLOURS.get(word, "inherit")
    weight = "400" if word in ("holds", "flat", "plateau") else "600"
    style = f"white-space:nowrap;font-weight:{weight}"
    return (
        f'<span style="{style}"><span style="color:{colour}">{glyph}</span> {escape(word)}</span>'
    )


def _figure(figure: Mapping[str, Any] | None) -> str:
    return _below(escape(str(figure["text"]))) if figure else ""


def _below(html: str) -> str:
    return f'<div style="{SMALL}">{html}</div>'


def _markdown(findings: pd.DataFrame, cases: Mapping[str, str]) -> Iterator[str]:
    yield summary(findings)
    for system, part in findings.groupby("system", sort=False):
        name, case = str(system), cases.get(str(system), "")
        yield f"\n**[{name}]({case})**\n" if case else f"\n**{name}**\n"
        yield "| # | scenario | outcome | key figure | its fix | figure |"
        yield "|---|---|---|---|---|---|"
        yield from (_line(row) for row in part.to_dict("records"))


def _line(row: Mapping[Any, Any]) -> str:
    name = str(row["scenario"]).partition("/")[2] or str(row["scenario"])
    outcome, fix = str(row["outcome"]), str(row["fix"] or "")
    cells = [
        _number(str(row["seed"])),
        f"`{name}`",
        f"{GLYPHS.get(outcome, '?')} {outcome}",
        row["figure"]["text"],
        f"{GLYPHS.get(fix, '?')} {fix}" if fix else "",
        row["fix_figure"]["text"] if row["fix_figure"] else "",
    ]
    return f"| {' | '.join(markdown_text(str(cell), cell=True) for cell in cells)} |"
