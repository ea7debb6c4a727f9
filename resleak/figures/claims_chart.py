"""Outcomes of the claims and fixes of each system, as bars."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from resleak.figures.claim_tables import with_glyph
from resleak.figures.plotly_theme import template
from resleak.figures.style import GRID, word_style
from resleak.workload.verdict_words import FIX_OUTCOMES, OUTCOMES, UNDECIDED


def outcomes_chart(findings: pd.DataFrame) -> go.Figure:
    """Draw how many of the documents' claims were reproduced, and how many of their fixes hold.

    `findings` are those of `resleak.analysis.claims_table.findings`. Two bars per system, one of
    claims and one of fixes, are each split by outcome; the numbers stand in the bars.
    """
    claims = findings[(findings["claim"] != "") & (findings["claimed_by"] == "document")]
    systems = list(claims["system"].unique())
    figure = go.Figure()
    for column, words in (("outcome", OUTCOMES), ("fix", FIX_OUTCOMES)):
        for word in (*words, UNDECIDED):
            counts = claims[claims[column] == word].groupby("system").size()
            if len(counts):
                figure.add_trace(_bar(column, word, systems, counts.reindex(systems).fillna(0)))
    figure.update_layout(
        template=template(),
        barmode="stack",
        height=90 + 62 * len(systems),
        title={"text": "Claims and their fixes, by system"},
        legend={"orientation": "h", "y": -0.12, "yanchor": "top", "x": 0, "traceorder": "normal"},
        margin={"l": 150},
    )
    figure.update_yaxes(autorange="reversed", dividercolor=GRID)
    figure.update_xaxes(title_text="claims", dtick=5)
    return figure


def _bar(column: str, word: str, systems: list[str], counts: pd.Series) -> go.Bar:
    row = "claims" if column == "outcome" else "fixes"
    look = word_style(word)
    # A light pattern lies over the colour and leaves the number legible.
    light = {"fgcolor": "rgba(255, 255, 255, 0.35)", "solidity": 0.12, "size": 9}
    pattern = {"shape": look.pattern, "fillmode": "overlay", **light}
    return go.Bar(
        y=[systems, [row] * len(systems)],
        x=counts.to_numpy(),
        name=with_glyph(word),
        orientation="h",
        marker={"color": look.colour, "pattern": pattern},
        textfont={"color": "white", "size": 13},
        text=[f"{n:.0f}" if n else "" for n in counts],
        textposition="inside",
        insidetextanchor="middle",
        hovertemplate=f"%{{y}}: %{{x}} {word}<extra></extra>",
    )
