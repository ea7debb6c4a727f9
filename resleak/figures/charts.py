"""Figures besides growth: readings against limits, costs over sizes, outcomes of claims."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from resleak.analysis import limits, wording
from resleak.captures.frames import Capture, Captures, gauges_of
from resleak.figures.plotly_theme import empty, plain, template, titled
from resleak.figures.style import (
    GRID,
    INK,
    Mark,
    letters_on,
    marks,
    order,
    with_glyph,
    word_style,
)
from resleak.workload.scenario import Limit, Sweep
from resleak.workload.verdict_words import FIX_OUTCOMES, OUTCOMES, UNDECIDED

#: Pixels of a variant's row, of what stands above a limit's rows, and below all.
_ROW, _HEAD, _BOTTOM = 26, 44, 44
_FEW = 8
#: A range of more than this factor is drawn on a logarithmic axis.
_WIDE = 50.0
_PANEL = 320
#: Factors between the ends of an axis below which it needs more ticks, and from which fewer.
_NARROW, _MANY_DECADES = 6.0, 300.0


def evidence(captures: Captures) -> list[go.Figure]:
    """Return the figures of a scenario's limits and sweeps, if it declares any."""
    figures = {"limits": limits_chart, "sweeps": scaling}
    return [draw(captures) for what, draw in figures.items() if _declared(captures, what)]


def limits_chart(captures: Captures, title: str = "") -> go.Figure:
    """Draw every limit of one scenario with the readings that it is about, by variant.

    Dots are single readings, one per run; a bar spans the middle 90 % of many, with median and
    extremes marked. The dashed line is the limit. `title` is the scenario's name by default.
    """
    parts: list[tuple[Limit, dict[str, np.ndarray]]] = []
    for limit in _declared(captures, "limits"):
        readings = {}  # that the limit is about, by variant with any
        for name in order(captures.variants):
            runs = captures.select(variant=name, instrument="gauges")
            each = [limits.readings(limit, run, whole=True) for run in runs]
            values = np.concatenate([np.empty(0), *each])
            if not np.isnan(values).all():
                readings[name] = values[~np.isnan(values)]
        if readings:
            parts.append((limit, readings))
    if not parts:
        return empty("No limit of this scenario has readings.")
    looks = marks(order(captures.variants))
    heights = [_ROW * len(readings) + _HEAD for _, readings in parts]
    figure = make_subplots(rows=len(parts), row_heights=heights, vertical_spacing=0)
    for number, (limit, readings) in enumerate(parts, 1):
        figure.add_traces(list(_strips(limit, readings, looks, captures)), number, 1)
        _scale(figure, limit, readings, number, heights[number - 1])
    subtitle = (
        "dots: one reading per run; bars: the middle 90 % of many, with lowest, median and highest"
    )
    _frame(figure, title or f"{captures[0].scenario}: limits", subtitle, sum(heights) + 84)
    return figure


def scaling(captures: Captures, title: str = "") -> go.Figure:
    """Draw each cost of one scenario that must not grow, and its other measures, over a size.

    A part for each sweep, both axes logarithmic, with the exponents in the legend, and one for each
    other measure of the scenario's own, over the size of the first sweep: dots are steps, lines
    join the medians. `title` is the scenario's name by default.
    """
    declared = _declared(captures, "sweeps")
    if not declared:
        return empty("This scenario declares no sweep.")
    own = [g.name for g in _declared(captures, "own_gauges") if g.kind == "measure"]
    swept = {name for sweep in declared for name in (sweep.gauge, sweep.over)}
    sweeps = declared + [Sweep(name, declared[0].over) for name in own if name not in swept]
    titles = [plain(f"{sweep.gauge} over {sweep.over}") for sweep in sweeps]
    figure = make_subplots(
        rows=len(sweeps), subplot_titles=titles, vertical_spacing=0.28 / len(sweeps)
    )
    looks = marks(order(captures.variants))
    for number, sweep in enumerate(sweeps, 1):
        lines: list[go.Scatter] = []
        for name, mark in looks.items():
            runs = list(captures.select(variant=name, instrument="gauges"))
            lines += _curve(sweep, runs, name, mark, judged=sweep in declared)
        figure.add_traces(lines, number, 1)
        place = {"row": number, "col": 1}
        across = _logarithmic(np.concatenate([line.x for line in lines] or [[]]))
        figure.update_xaxes(title_text=plain(sweep.over), **across, **place)
        up = _logarithmic(np.concatenate([line.y for line in lines] or [[]]))
        kind, unit = up if sweep in declared else {}, gauges_of(captures)[sweep.gauge].unit
        figure.update_yaxes(title_text=plain(unit), **kind, **place)
    subtitle = "dots: steps; lines: medians; exponent 1: proportional; 0: independent"
    height = _PANEL * len(sweeps) + 80
    _frame(figure, title or f"{captures[0].scenario}: what the cost depends on", subtitle, height)
    figure.update_layout(showlegend=True)
    return figure


def _logarithmic(values: np.ndarray) -> dict[str, Any]:
    """Return a logarithmic axis: ticks at 1, 2 and 5, of a wide range at powers of 10 alone."""
    values = values[values > 0]
    ratio = values.max() / values.min() if len(values) else 1.0
    ticks = {} if ratio < _NARROW else {"dtick": "D2" if ratio < _MANY_DECADES else 1}
    return {"type": "log", **ticks}


def _declared(captures: Captures, what: str) -> list[Any]:
    measured = captures.select(instrument="gauges")
    return list(getattr(measured[0].manifest.scenario, what)) if measured else []


def _strips(
    limit: Limit, readings: dict[str, np.ndarray], looks: dict[str, Mark], captures: Captures
) -> Iterator[go.Scatter]:
    unit = limits.unit(limit, list(captures.select(instrument="gauges")))
    unit += " per second" if limit.per_second is not None else ""
    for name, values in readings.items():
        if len(values) > _FEW:
            line = {"color": looks[name].fill(0.55), "width": 10}
            x = np.quantile(values, [0.05, 0.95])
            yield go.Scatter(
                x=x, y=[name, name], mode="lines", line=line, hoverinfo="skip", showlegend=False
            )
            values = np.quantile(values, [0.0, 0.5, 1.0])
        dots = {"color": looks[name].colour, "size": 8, "line": {"width": 1, "color": INK}}
        hover = f"{plain(name)}: %{{x:.4~g}} {plain(unit)}<extra></extra>"
        style = {"mode": "markers", "marker": dots, "showlegend": False}
        yield go.Scatter(x=values, y=[name] * len(values), hovertemplate=hover, **style)


def _scale(
    figure: go.Figure, limit: Limit, readings: dict[str, np.ndarray], number: int, height: int
) -> None:
    """Lay out one limit: its axes, its dashed line, and its text above the rows of variants."""
    everything = np.append(np.concatenate(list(readings.values())), limit.allowed)
    is_wide = everything.min() > 0 and everything.max() / everything.min() > _WIDE
    axis = str(number) if number > 1 else ""
    bottom, top = figure.layout[f"yaxis{axis}"].domain
    inner = len(readings) * _ROW / height * 0.86
    domain = [bottom, bottom + (top - bottom) * inner]
    figure.layout[f"yaxis{axis}"].update(
        domain=domain, autorange="reversed", type="category", showgrid=False
    )
    kind = {"type": "log", "dtick": 1} if is_wide else {"type": "linear"}
    figure.layout[f"xaxis{axis}"].update(nticks=6, zeroline=False, **kind)
    line = {"color": INK, "dash": "dash", "width": 1.5}
    figure.add_vline(limit.allowed, row=number, col=1, line=line)
    source = f"  <i>{plain(limit.source)}</i>" if limit.source else ""
    place = {"x": 0, "y": 1, "xref": f"x{axis} domain", "yref": f"y{axis} domain"}
    style = {"xanchor": "left", "yanchor": "bottom", "showarrow": False}
    figure.add_annotation(text=f"<b>{plain(limit.text())}</b>{source}", **place, **style)


def _curve(
    sweep: Sweep, runs: list[Capture], name: str, mark: Mark, *, judged: bool
) -> Iterator[go.Scatter]:
    each = [limits.sweep_points(sweep, run) for run in runs]
    points = np.concatenate([np.empty((0, 2)), *each])
    if not len(points):
        return
    y = np.maximum(points[:, 1], max(sweep.floor, np.finfo(float).tiny if judged else -np.inf))
    middle = pd.Series(y).groupby(points[:, 0]).median()
    power = wording.exponent(limits.judge_sweep(sweep, each))
    dots = {"mode": "markers", "marker": {"color": mark.fill(0.45), "size": 5}}
    style = {"hoverinfo": "skip", "showlegend": False, "legendgroup": name}
    yield go.Scatter(x=points[:, 0], y=y, **dots, **style)
    hover = f"%{{x:.4~g}} {plain(sweep.over)}: %{{y:.4~g}}<extra>{plain(name)}</extra>"
    line = {"color": mark.colour, "dash": mark.dash, "width": 2}
    style = {"mode": "lines", "line": line, "legendgroup": name, "hovertemplate": hover}
    style |= {"name": f"{plain(name)}: exponent {power}", "showlegend": judged}
    yield go.Scatter(x=middle.index.to_numpy(), y=middle.to_numpy(), **style)


def _frame(figure: go.Figure, title: str, subtitle: str, height: int) -> None:
    figure.update_layout(
        template=template(),
        height=height,
        title=titled(title, subtitle),
        margin={"t": 84, "b": _BOTTOM, "l": 150, "r": 16},
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0},
    )


def outcomes_chart(findings: pd.DataFrame) -> go.Figure:
    """Draw how many of the documents' claims were reproduced, and how many of their fixes hold.

    `findings` are those of `resleak.analysis.claims_table.findings`. Two bars per system, one of
    claims and one of fixes, are each split by outcome; the numbers stand in the bars.
    """
    claims = findings[(findings["claim"] != "") & (findings["claimed_by"] == "document")]
    systems = list(claims["system"].unique())
    figure = go.Figure()
    for column, row, words in (("outcome", "claims", OUTCOMES), ("fix", "fixes", FIX_OUTCOMES)):
        for word in (*words, UNDECIDED):
            counts = claims[claims[column] == word].groupby("system").size()
            if not len(counts):
                continue
            counts, look = counts.reindex(systems).fillna(0), word_style(word)
            # A light pattern lies over the colour and leaves the number legible.
            light = {"fgcolor": "rgba(255, 255, 255, 0.35)", "solidity": 0.12, "size": 9}
            pattern = {"shape": look.pattern, "fillmode": "overlay", **light}
            figure.add_bar(
                y=[systems, [row] * len(systems)],
                x=counts.to_numpy(),
                name=with_glyph(word),
                orientation="h",
                marker={"color": look.colour, "pattern": pattern},
                textfont={"color": letters_on(look.colour), "size": 13},
                text=[f"{n:.0f}" if n else "" for n in counts],
                textposition="inside",
                insidetextanchor="middle",
                hovertemplate=f"%{{y}}: %{{x}} {word}<extra></extra>",
            )
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
