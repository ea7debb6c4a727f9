"""Figures of the evidence besides growth: readings against their limits, costs over their sizes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from resleak import formatting
from resleak.analysis import limits as judge
from resleak.analysis import scaling as sweeps
from resleak.captures.frames import Captures, gauges_of
from resleak.figures.plotly_theme import empty, template
from resleak.figures.style import INK, Mark, marks, order
from resleak.figures.timeline_words import plain
from resleak.workload.scenario import Limit, Sweep

#: Pixels of a variant's row, of what stands above a limit's rows, and below all.
_ROW, _HEAD, _BOTTOM = 26, 44, 44
_FEW = 8
#: A range of more than this factor is drawn on a logarithmic axis.
_WIDE = 50.0
_PANEL = 320


def evidence(captures: Captures) -> list[go.Figure]:
    """Return the figures of what a scenario declares besides growth: limits, sweeps, or neither.

    Parameters
    ----------
    captures : Captures
        The runs of one scenario.
    """
    drawn = {"limits": limits_chart, "sweeps": scaling}
    return [draw(captures) for what, draw in drawn.items() if _declared(captures, what)]


def limits_chart(captures: Captures, title: str = "") -> go.Figure:
    """Draw, for every limit, the readings it speaks of in each variant, and the limit itself.

    Parameters
    ----------
    captures : Captures
        The runs of one scenario.
    title : str
        Default: the scenario's name.

    Returns
    -------
    plotly.graph_objects.Figure
        A part for each limit: dots are single readings, one a run; a bar spans the middle 90 % of
        many, with the median and the extremes marked. The dashed line is the limit.
    """
    bounds = _declared(captures, "limits")
    parts = [(bound, _readings(bound, captures)) for bound in bounds]
    drawn = [(bound, found) for bound, found in parts if found]
    if not drawn:
        return empty("No limit of this scenario has readings.")
    names = order(captures.variants)
    heights = [_ROW * len(found) + _HEAD for _, found in drawn]
    figure = make_subplots(rows=len(drawn), row_heights=heights, vertical_spacing=0)
    for number, (bound, found) in enumerate(drawn, 1):
        figure.add_traces(list(_strips(bound, found, marks(names), captures)), number, 1)
        _scale(figure, bound, found, number, heights[number - 1])
    told = "dots: one reading a run; bars: the middle 90 % of many, with lowest, median and highest"
    _frame(figure, title or f"{captures[0].scenario}: limits", told, sum(heights) + 84)
    return figure


def scaling(captures: Captures, title: str = "") -> go.Figure:
    """Draw each cost that must not grow, and what else was measured, over the size of the work.

    Parameters
    ----------
    captures : Captures
        The runs of one scenario.
    title : str
        Default: the scenario's name.

    Returns
    -------
    plotly.graph_objects.Figure
        A part for each sweep, both axes logarithmic, with the exponents in the legend, and one for
        each other measure of the scenario's own: dots are steps, lines join the medians.
    """
    declared = _declared(captures, "sweeps")
    if not declared:
        return empty("This scenario declares no sweep.")
    drawn = declared + _others(captures, declared)
    titles = [plain(f"{sweep.gauge} over {sweep.over}") for sweep in drawn]
    figure = make_subplots(
        rows=len(drawn), subplot_titles=titles, vertical_spacing=0.28 / len(drawn)
    )
    looks = marks(order(captures.variants))
    for number, sweep in enumerate(drawn, 1):
        for name in order(captures.variants):
            runs = list(captures.select(variant=name, instrument="gauges"))
            lines = _curve(sweep, runs, name, looks[name], judged=sweep in declared)
            figure.add_traces(list(lines), number, 1)
        _size_axes(figure, sweep, gauges_of(captures)[sweep.gauge].unit, sweep in declared, number)
    told = "dots: steps; lines: medians; an exponent of 1 is proportional, one of 0 does not depend"
    height = _PANEL * len(drawn) + 80
    _frame(figure, title or f"{captures[0].scenario}: what the cost depends on", told, height)
    figure.update_layout(showlegend=True)
    return figure


def _others(captures: Captures, declared: list[Sweep]) -> list[Sweep]:
    """Return the scenario's other measures, to be drawn over the size of the first sweep."""
    own = [g.name for g in _declared(captures, "own_gauges") if g.kind == "measure"]
    taken = {name for sweep in declared for name in (sweep.gauge, sweep.over)}
    return [Sweep(name, declared[0].over) for name in own if name not in taken]


def _size_axes(figure: go.Figure, sweep: Sweep, unit: str, judged: bool, number: int) -> None:
    figure.update_xaxes(type="log", title_text=plain(sweep.over), row=number, col=1)
    kind = "log" if judged else "linear"
    figure.update_yaxes(type=kind, title_text=plain(unit), row=number, col=1)


def _declared(captures: Captures, what: str) -> list[Any]:
    measured = captures.select(instrument="gauges")
    return list(getattr(measured[0].manifest.scenario, what)) if measured else []


def _readings(bound: Limit, captures: Captures) -> dict[str, np.ndarray]:
    found = {}
    for name in order(captures.variants):
        runs = captures.select(variant=name, instrument="gauges")
        each = [judge.readings(bound, run, whole=True) for run in runs]
        values = np.concatenate(each) if each else np.empty(0)
        found[name] = values[~np.isnan(values)]
    return {name: values for name, values in found.items() if len(values)}


def _strips(
    bound: Limit, found: dict[str, np.ndarray], looks: dict[str, Mark], captures: Captures
) -> Iterator[go.Scatter]:
    unit = judge.unit(bound, list(captures.select(instrument="gauges")))
    unit += " per second" if bound.per_second is not None else ""
    for name, values in found.items():
        if len(values) > _FEW:
            yield _bar(name, values, looks[name])
            values = np.quantile(values, [0.0, 0.5, 1.0])
        yield go.Scatter(
            x=values,
            y=[name] * len(values),
            mode="markers",
            marker={"color": looks[name].colour, "size": 8, "line": {"width": 1, "color": INK}},
            hovertemplate=f"{plain(name)}: %{{x:.4~g}} {plain(unit)}<extra></extra>",
            showlegend=False,
        )


def _bar(name: str, values: np.ndarray, mark: Mark) -> go.Scatter:
    return go.Scatter(
        x=np.quantile(values, [0.05, 0.95]),
        y=[name, name],
        mode="lines",
        line={"color": mark.fill(0.55), "width": 10},
        hoverinfo="skip",
        showlegend=False,
    )


def _scale(
    figure: go.Figure, bound: Limit, found: dict[str, np.ndarray], number: int, height: int
) -> None:
    allowed = bound.allowed
    everything = np.append(np.concatenate(list(found.values())), allowed)
    wide = everything.min() > 0 and everything.max() / everything.min() > _WIDE
    axis = str(number) if number > 1 else ""
    inner = len(found) * _ROW / height
    top = figure.layout[f"yaxis{axis}"].domain
    figure.layout[f"yaxis{axis}"].update(
        domain=[top[0], top[0] + (top[1] - top[0]) * inner * 0.86],
        autorange="reversed",
        type="category",
        showgrid=False,
    )
    figure.layout[f"xaxis{axis}"].update(
        type="log" if wide else "linear", dtick=1 if wide else None, nticks=6, zeroline=False
    )
    figure.add_shape(
        type="line",
        xref=f"x{axis}",
        yref=f"y{axis} domain",
        x0=allowed,
        x1=allowed,
        y0=0,
        y1=1,
        line={"color": INK, "dash": "dash", "width": 1.5},
    )
    figure.add_annotation(
        text=f"<b>{plain(bound.text())}</b>"
        + (f"  <i>{plain(bound.source)}</i>" if bound.source else ""),
        xref=f"x{axis} domain",
        yref=f"y{axis} domain",
        x=0,
        y=1,
        xanchor="left",
        yanchor="bottom",
        showarrow=False,
    )


def _curve(
    sweep: Sweep, runs: Iterable[Any], name: str, mark: Mark, *, judged: bool
) -> Iterator[go.Scatter]:
    each = [sweeps.points(sweep, run) for run in runs]
    points = np.concatenate(each) if each else np.empty((0, 2))
    if not len(points):
        return
    costs = np.maximum(points[:, 1], max(sweep.floor, np.finfo(float).tiny if judged else -np.inf))
    middle = pd.Series(costs).groupby(points[:, 0]).median()
    found = sweeps.judge(sweep, each)
    power = f"{formatting.number(found.exponent)} {formatting.interval(found.low, found.high)}"
    yield go.Scatter(
        x=points[:, 0],
        y=costs,
        mode="markers",
        marker={"color": mark.fill(0.45), "size": 5},
        hoverinfo="skip",
        showlegend=False,
        legendgroup=name,
    )
    yield go.Scatter(
        x=middle.index.to_numpy(),
        y=middle.to_numpy(),
        mode="lines",
        line={"color": mark.colour, "dash": mark.dash, "width": 2},
        name=f"{plain(name)}: exponent {power}",
        legendgroup=name,
        showlegend=judged,
        hovertemplate=f"%{{x:.4~g}} {plain(sweep.over)}: %{{y:.4~g}}<extra>{plain(name)}</extra>",
    )


def _frame(figure: go.Figure, title: str, told: str, height: int) -> None:
    figure.update_layout(
        template=template(),
        height=height,
        title={
            "text": plain(title),
            "subtitle": {"text": told, "font": {"size": 12}},
            "yref": "container",
            "y": 1,
            "yanchor": "top",
            "pad": {"t": 10},
        },
        margin={"t": 84, "b": _BOTTOM, "l": 150, "r": 16},
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0},
    )
