"""What a figure says in words: verdicts, runs, and text that plotly must not take for HTML."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from resleak import formatting
from resleak.figures.style import Mark

#: Characters that fit in a line above a row, in a notebook of the usual width.
_LINE = 105


def verdict_lines(
    gauge: str, verdicts: pd.DataFrame | None, looks: Mapping[str, Mark]
) -> list[str]:
    """Return what each variant's verdict on one gauge is, in as many lines as that takes."""
    if verdicts is None:
        return []
    lines, room = [""], _LINE
    of_gauge = verdicts[verdicts["gauge"] == gauge]
    found = {str(row["variant"]): row for row in of_gauge.to_dict("records")}
    for name in (n for n in looks if n in found):
        word, rate = str(found[name]["verdict"]), _rate(found[name])
        room -= len(name) + len(word) + len(rate) + 6
        if room < 0 and lines[-1]:
            lines.append("")
            room = _LINE - len(name) - len(word) - len(rate) - 6
        swatch = f'<span style="color:{looks[name].colour}">■</span>'
        lines[-1] += f"{swatch} {plain(name)}: <b>{plain(word)}</b>{rate}&#160;&#160; "
    return [line for line in lines if line]


def _per(found: dict[Hashable, Any]) -> str:
    return str(found.get("per", "step"))


def _rate(found: dict[Hashable, Any]) -> str:
    if found["verdict"] == "leak":
        return f" {formatting.rate(float(found['per_step']), str(found['unit']), _per(found))}"
    if found["verdict"] == "deferred":
        return f", peak {formatting.amount(float(found['peak']), str(found['unit']))}"
    return ""


def plain(text: object) -> str:
    """Return text that plotly shows as it stands: its own small HTML must not be read into it."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def scenarios(traces: pd.DataFrame) -> str:
    """Return the names of the scenarios in a trace."""
    return ", ".join(sorted(map(str, traces["scenario"].unique()))) if "scenario" in traces else ""


def runs(traces: pd.DataFrame) -> str:
    """Return how many runs there are and what the lines and bands therefore mean."""
    counts = traces.groupby("variant")["run"].nunique()
    low, high = counts.min(), counts.max()
    many = f"{low}" if low == high else f"{low} to {high}"
    if high == 1:
        return "one run of each variant"
    return f"{many} runs of each variant: line = median, band = lowest to highest"
