"""The table of claims: one row each, with its outcome, the number it rests on, and its fix."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

from resleak import formatting
from resleak.analysis.claims_table import summary
from resleak.figures.html_table import Table, below, markup, table
from resleak.figures.sentences import inline
from resleak.figures.style import word_style
from resleak.formatting import LEFT, SMALL, Cell, note
from resleak.workload.verdict_words import GLYPHS

#: Heads of what `cells` returns.
HEAD = ("outcome", "key figure", "its fix", "figure")
_FIGURE = LEFT + "min-width:13em;"


def claims_table(findings: pd.DataFrame, cases: Mapping[str, str] | None = None) -> Table:
    """Show the outcome of every claim and of every fix, by system; a summary stands below.

    Parameters
    ----------
    findings : DataFrame
        Of `resleak.analysis.claims_table.findings`.
    cases : mapping of str to str, optional
        Where the case file of each system is, to link there.
    """
    if findings.empty:
        return Table(note("There are no captures to judge."), findings)
    head = ("#", "what was claimed", "measured", "its fix")
    body: list[list[Cell]] = []
    for system, part in findings.groupby("system", sort=False):
        name, case = escape(str(system)), (cases or {}).get(str(system), "")
        name = f'<a href="{escape(case)}">{name}</a>' if case else name
        style = LEFT + "padding-top:14px;"
        body.append([Cell("", f"<b>{name}</b>", style, columns=len(head))])
        body += map(_html_cells, part.to_dict("records"))
    return Table(table(head, body) + note(summary(findings)), findings)


def claims_markdown(findings: pd.DataFrame, cases: Mapping[str, str] | None = None) -> str:
    """Return the table of claims as Markdown; the parameters are those of `claims_table`."""
    blocks = [summary(findings)]
    for system, part in findings.groupby("system", sort=False):
        name, case = str(system), (cases or {}).get(str(system), "")
        blocks.append(f"\n**[{name}]({case})**\n" if case else f"\n**{name}**\n")
        rows = [
            (_number(row["seed"]), f"`{_name(row)}`", *cells(row))
            for row in part.to_dict("records")
        ]
        blocks.append(formatting.Table(("#", "scenario", *HEAD), rows).markdown())
    return "\n".join(blocks)


def cells(row: Mapping[Any, Any]) -> tuple[str, ...]:
    """Return outcome and key figure of a claim, and of its fix, as text."""
    fix = row["fix_figure"]["text"] if row["fix_figure"] else ""
    return with_glyph(row["outcome"]), row["figure"]["text"], with_glyph(row["fix"]), fix


def with_glyph(word: str) -> str:
    """Return an outcome behind its glyph; nothing for none."""
    return f"{GLYPHS.get(word, '?')} {word}" if word else ""


def _html_cells(row: Mapping[Any, Any]) -> list[Cell]:
    name = f'<code title="{escape(str(row["title"]))}">{escape(_name(row))}</code>'
    claim = f'{inline(str(row["claim"] or row["title"]))}<div style="{SMALL}">{name}</div>'
    fix = _outcome(row["fix"]) + f"&#160; {escape(str(row['fix_variant']))}" if row["fix"] else ""
    figure, fix_figure = (
        below(one["text"]) if one else "" for one in (row["figure"], row["fix_figure"])
    )
    return [
        Cell(_number(row["seed"]), style=LEFT + SMALL),
        markup(claim, LEFT + "min-width:16em;"),
        markup(_outcome(row["outcome"]) + figure, _FIGURE),
        markup(fix + fix_figure, _FIGURE),
    ]


def _name(row: Mapping[Any, Any]) -> str:
    return str(row["scenario"]).partition("/")[2] or str(row["scenario"])


def _number(seed: str) -> str:
    """Return the section of a source document, without the document's number."""
    rest = seed[3:].strip()
    return rest if seed[:3].isdigit() and rest else seed


def _outcome(word: str) -> str:
    look = word_style(word)
    glyph = f'<span style="color:{look.colour}">{GLYPHS.get(word, "?")}</span>'
    style = f"white-space:nowrap;font-weight:{look.weight}"
    return f'<span style="{style}">{glyph} {escape(word)}</span>'
