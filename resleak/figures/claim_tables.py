"""The table of claims: one row each, with its outcome, the number it rests on, and its fix."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

from resleak import formatting
from resleak.analysis.claims_table import NOT_RUN, summary
from resleak.figures.html_table import Table, below, markup, table
from resleak.figures.sentences import inline
from resleak.figures.style import with_glyph, word_style
from resleak.formatting import LEFT, SMALL, Cell, note
from resleak.workload.verdict_words import GLYPHS

_HEAD = (
    *("#", "scenario", "claim", "language", "code", "outcome", "key figure", "its fix", "its code"),
    *("figure", "condition", "other readings", "in Node"),
)
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
    head = ("#", "what was claimed", "measured", "its fix", "condition")
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
        rows = list(map(_text_cells, part.to_dict("records")))
        blocks.append(formatting.Table(_HEAD, rows).markdown())
    return "\n".join(blocks)


def _text_cells(row: Mapping[Any, Any]) -> tuple[str, ...]:
    figure, fix = (one["text"] if one else "" for one in (row["figure"], row["fix_figure"]))
    return (
        *(_number(row["seed"]), f"`{_name(row)}`", row["claim"], languages(row), whose(row)),
        *(with_glyph(row["outcome"]), figure, with_glyph(row["fix"]), row["fix_origin"], fix),
        *(row["condition"], other_readings(row), in_node(row).removeprefix("Node: ")),
    )


def _html_cells(row: Mapping[Any, Any]) -> list[Cell]:
    name = f'<code title="{escape(str(row["title"]))}">{escape(_name(row))}</code>'
    where = " · ".join(filter(None, (name, escape(languages(row)), escape(whose(row)))))
    claim = f'{inline(str(row["claim"] or row["title"]))}<div style="{SMALL}">{where}</div>'
    fix = _outcome(row["fix"]) + f"&#160; {escape(str(row['fix_variant']))}" if row["fix"] else ""
    figure, fix_figure = (
        below(one["text"]) if one else "" for one in (row["figure"], row["fix_figure"])
    )
    others = other_readings(row)
    condition = f"{row['condition']}. Other readings: {others}" if others else row["condition"]
    return [
        Cell(_number(row["seed"]), style=LEFT + SMALL),
        markup(claim, LEFT + "min-width:16em;"),
        markup(_outcome(row["outcome"]) + figure + below(in_node(row)), _FIGURE),
        markup(fix + fix_figure + below(row["fix_origin"]), _FIGURE),
        markup(inline(str(condition)), LEFT + SMALL + "min-width:13em;"),
    ]


def whose(row: Mapping[Any, Any]) -> str:
    """Return whose code was measured, and whose claim it is if it is not the document's."""
    claimant = "our finding" if row["claim"] and row["claimed_by"] == "ours" else ""
    return ", ".join(filter(None, (str(row["origin"]), claimant)))


def other_readings(row: Mapping[Any, Any]) -> str:
    """Return the outcomes of variants that read the document otherwise, as text."""
    return ", ".join(f"{name} {with_glyph(word)}" for name, word in row["readings"].items())


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
    look = word_style(word)
    glyph = f'<span style="color:{look.colour}">{GLYPHS.get(word, "?")}</span>'
    style = f"white-space:nowrap;font-weight:{look.weight}"
    return f'<span style="{style}">{glyph} {escape(word)}</span>' if word else ""
