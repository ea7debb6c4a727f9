"""The table of claims: one row each, with its outcome, the number it rests on, and its fix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import pandas as pd

from resleak import formatting
from resleak.analysis.claims_table import NOT_RUN, summary
from resleak.figures.html_table import Table, heads, markup, table
from resleak.figures.sentences import inline
from resleak.figures.style import WORDS, WordStyle
from resleak.formatting import LEFT, SMALL, Cell, note
from resleak.workload.verdict_words import GLYPHS

_FIGURE = LEFT + "min-width:13em;"
_HEAD = ("#", "what was claimed", "measured", "its fix", "condition")
_MARKDOWN_HEAD = (
    *("#", "scenario", "language", "code", "outcome", "key figure", "its fix", "its code"),
    *("figure", "condition", "in Node"),
)


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
    where = " · ".join(filter(None, (name, escape(languages(row)), escape(whose(row)))))
    outcome = _outcome(row["outcome"]) if row["outcome"] else ""
    return [
        Cell(_number(row["seed"]), style=LEFT + SMALL),
        markup(inline(str(row["claim"] or row["title"])) + _below(where), LEFT + "min-width:16em;"),
        markup(outcome + _figure(row["figure"]) + _below(escape(in_node(row))), _FIGURE),
        markup(fix + _figure(row["fix_figure"]) + _below(escape(row["fix_origin"])), _FIGURE),
        markup(inline(str(row["condition"])), LEFT + SMALL + "min-width:13em;"),
    ]


def whose(row: Mapping[Any, Any]) -> str:
    """Return whose code was measured, and whose claim it is if it is not the document's."""
    claimant = "our finding" if row["claim"] and row["claimed_by"] == "ours" else ""
    return ", ".join(filter(None, (str(row["origin"]), claimant)))


def languages(row: Mapping[Any, Any]) -> str:
    """Return the system's language, and what ran where that is another one."""
    if row["language"] in ("", "Python"):
        return str(row["language"])
    if row["python"] == NOT_RUN:
        return f"{row['language']}, run in Node"
    return f"{row['language']}, ported to Python" + (", checked in Node" if row["node"] else "")


def in_node(row: Mapping[Any, Any]) -> str:
    """Return what a Node check counted, and where the Python port came out otherwise."""
    python = f"Python: {row['python']}; " if row["python"] not in ("", NOT_RUN) else ""
    return f"{python}Node: {row['node']}" if row["node"] else ""


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
        rows = [_line(row) for row in part.to_dict("records")]
        yield formatting.Table(_MARKDOWN_HEAD, rows).markdown()


def _line(row: Mapping[Any, Any]) -> list[object]:
    return [
        _number(str(row["seed"])),
        f"`{_name(row)}`",
        languages(row),
        whose(row),
        with_glyph(str(row["outcome"])),
        row["figure"]["text"] if row["figure"] else "",
        with_glyph(str(row["fix"] or "")),
        row["fix_origin"],
        row["fix_figure"]["text"] if row["fix_figure"] else "",
        row["condition"],
        in_node(row).removeprefix("Node: "),
    ]
