"""The table of claims: one row each, with its outcome, the number it rests on, and its fix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import pandas as pd

from resleak import formatting
from resleak.analysis.claims_table import summary
from resleak.figures.html_table import Table, heads, markup, table
from resleak.figures.sentences import inline
from resleak.figures.style import WORDS, WordStyle
from resleak.formatting import LEFT, SMALL, Cell, note
from resleak.workload.verdict_words import GLYPHS

_FIGURE = LEFT + "min-width:13em;"
_HEAD = ("#", "what was claimed", "measured", "its fix")


def claims_table(findings: pd.DataFrame, cases: Mapping[str, str] | None = None) -> Table:
    """Show the outcome of every claim and of every fix.

    Parameters
    ----------
    findings : DataFrame
        Of `resleak.analysis.claims_table.findings`.
    cases : mapping of str to str, optional
        Where the case file of each system is, to link there.

    Returns
    -------
    Table
        A part for each system, in the order of the source documents; a summary stands below.
    """
    if findings.empty:
        return Table(note("There are no captures to judge."), findings)
    body: list[list[Cell]] = []
    for system, part in findings.groupby("system", sort=False):
        name, case = escape(str(system)), (cases or {}).get(str(system), "")
        name = f'<a href="{escape(case)}">{name}</a>' if case else name
        style = LEFT + "padding-top:14px;"
        body.append([Cell("", f"<b>{name}</b>", style, columns=len(_HEAD))])
        body += [_cells(row) for row in part.to_dict("records")]
    return Table(table(heads(*_HEAD), body) + note(summary(findings)), findings)


def claims_markdown(findings: pd.DataFrame, cases: Mapping[str, str] | None = None) -> str:
    """Return the table of claims as Markdown, for a README or an issue.

    Parameters
    ----------
    findings, cases
        As for `claims_table`.
    """
    return "\n".join(_markdown(findings, cases or {}))


def with_glyph(word: str) -> str:
    """Return an outcome behind its glyph; nothing for none."""
    return f"{GLYPHS.get(word, '?')} {word}" if word else ""


def _cells(row: Mapping[Any, Any]) -> list[Cell]:
    name = f'<code title="{escape(str(row["title"]))}">{escape(_name(row))}</code>'
    fix = _outcome(row["fix"]) + f"&#160; {escape(str(row['fix_variant']))}" if row["fix"] else ""
    return [
        Cell(_number(row["seed"]), style=LEFT + SMALL),
        markup(inline(str(row["claim"] or row["title"])) + _below(name), LEFT + "min-width:16em;"),
        markup(_outcome(row["outcome"]) + _figure(row["figure"]), _FIGURE),
        markup(fix + _figure(row["fix_figure"]), _FIGURE),
    ]


def _name(row: Mapping[Any, Any]) -> str:
    return str(row["scenario"]).partition("/")[2] or str(row["scenario"])


def _number(seed: str) -> str:
    """Return the section of a source document, without the document's number."""
    rest = seed[3:].strip()
    return rest if seed[:3].isdigit() and rest else seed


def _outcome(word: str) -> str:
    look = WORDS.get(word, WordStyle())
    glyph = f'<span style="color:{look.colour}">{GLYPHS.get(word, "?")}</span>'
    style = f"white-space:nowrap;font-weight:{look.weight}"
    return f'<span style="{style}">{glyph} {escape(word)}</span>'


def _figure(figure: Mapping[str, Any] | None) -> str:
    return _below(escape(str(figure["text"]))) if figure else ""


def _below(html: str) -> str:
    return f'<div style="{SMALL}">{html}</div>'


def _markdown(findings: pd.DataFrame, cases: Mapping[str, str]) -> Iterator[str]:
    yield summary(findings)
    for system, part in findings.groupby("system", sort=False):
        name, case = str(system), cases.get(str(system), "")
        yield f"\n**[{name}]({case})**\n" if case else f"\n**{name}**\n"
        head = ("#", "scenario", "outcome", "key figure", "its fix", "figure")
        rows = [_line(row) for row in part.to_dict("records")]
        yield formatting.Table(head, rows).markdown()


def _line(row: Mapping[Any, Any]) -> list[object]:
    return [
        _number(str(row["seed"])),
        f"`{_name(row)}`",
        with_glyph(str(row["outcome"])),
        row["figure"]["text"],
        with_glyph(str(row["fix"] or "")),
        row["fix_figure"]["text"] if row["fix_figure"] else "",
    ]
