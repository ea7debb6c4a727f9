"""Figures of the verdicts' accuracy: against the steps of a run, and beside other tools."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from resleak.figures.plotly_theme import template
from resleak.figures.style import OTHERS, VARIANTS, Mark

_MARKS = dict(zip(("precision", "recall", "inconclusive"), (*VARIANTS.values(),), strict=True))


def accuracy_curve(rows: pd.DataFrame, title: str = "") -> go.Figure:
    """Draw precision, recall and inconclusive share over the number of steps.

    Parameters
    ----------
    rows : DataFrame
        From `_accuracy_rows.against_steps`; the bars are 95 % intervals.
    title : str
        Above the figure.
    """
    figure = go.Figure(layout={"template": template(), "title": title, "height": 380})
    for measure, mine in rows.groupby("measure", sort=False):
        mark = _MARKS[str(measure)]
        figure.add_scatter(
            x=mine["steps"],
            y=mine["share"],
            error_y=_bars(mine, mark),
            name=str(measure),
            mode="lines+markers",
            line={"color": mark.colour, "dash": mark.dash},
        )
    figure.update_xaxes(title="measured steps, after 60 of warm-up", type="log")
    figure.update_yaxes(title="share", range=[-0.03, 1.05])
    return figure


def accuracy_of_tools(rows: pd.DataFrame, title: str = "") -> go.Figure:
    """Draw precision over recall, one point per tool: the best is at the top right.

    Parameters
    ----------
    rows : DataFrame
        From `_accuracy_rows.tools`; the bars are 95 % intervals.
    title : str
        Above the figure.
    """
    figure = go.Figure(layout={"template": template(), "title": title, "height": 420})
    for number, (tool, mine) in enumerate(rows.groupby("tool", sort=False)):
        by = mine.set_index("measure")
        marks = (VARIANTS["leaky"], *OTHERS)
        mark = marks[number % len(marks)]
        figure.add_scatter(
            x=by.loc[["recall"], "share"],
            y=by.loc[["precision"], "share"],
            error_x=_bars(by.loc[["recall"]], mark),
            error_y=_bars(by.loc[["precision"]], mark),
            name=str(tool),
            mode="markers",
            marker={"color": mark.colour, "size": 10, "symbol": number},
        )
    figure.update_xaxes(title="recall: leaks that were found", range=[-0.03, 1.05])
    figure.update_yaxes(title="precision: of those called a leak", range=[-0.03, 1.05])
    return figure


def _bars(rows: pd.DataFrame, mark: Mark) -> dict[str, object]:
    above, below = rows["high"] - rows["share"], rows["share"] - rows["low"]
    return {"array": above, "arrayminus": below, "thickness": 1, "color": mark.colour}
