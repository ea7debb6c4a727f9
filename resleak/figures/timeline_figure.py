"""Growth curves: every gauge on one x-axis, variants side by side, phases marked."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from resleak.figures import timeline_curves
from resleak.figures.plotly_theme import empty, template
from resleak.figures.style import INK, SHADE, Mark, marks, order
from resleak.figures.timeline_curves import Axis
from resleak.figures.timeline_rows import Row, asked, left_out, moving, rows_of
from resleak.figures.timeline_words import plain, runs, scenarios, verdict_lines

#: Pixels: a row's plot, what stands above and below all rows, and a line of text.
ROW, TOP, BOTTOM, LINE = 150, 84, 56, 17
#: A reading after a collection is marked when it is off the curve by this share of the row.
_APART = 0.02
_MOST_MARKERS = 150
_LEGEND_WIDTH = 500
_HOVER = {"step": "step %{x}", "t_s": "%{x:.3f} s"}
_LABELS = {"step": "step", "t_s": "time since the load began, s"}


def timeline(
    traces: pd.DataFrame,
    gauges: object = None,
    verdicts: pd.DataFrame | None = None,
    x: Axis = "step",
    *,
    only_moving: bool = True,
    title: str = "",
) -> go.Figure:
    """Draw the growth curves of all gauges, one row each, on one shared x-axis.

    A line is the median over the runs of a variant, the band about it their range. Triangles are
    readings after a garbage collection, where they lie off the line, and after the load ended.

    Parameters
    ----------
    traces : DataFrame
        Rows of `resleak.traces`: ``variant``, ``run``, ``step``, ``t_s``, ``phase``, ``moment``
        and one column for each gauge.
    gauges : mapping of str to Gauge, or iterable of str or Gauge, optional
        What to draw. A mapping says what is known of each gauge; of these, and without it of all
        in the trace, those that moved are drawn. Names are drawn in the order given, moved or not.
    verdicts : DataFrame, optional
        The growth table of `resleak.judge`; written above each row, worst gauge first.
    x : {"step", "t_s"}
        The x-axis: steps, or seconds since the load began.
    only_moving : bool
        Leave out gauges that stayed within the smallest rise worth calling a climb; the caption
        names them. Without effect on names that were asked for.
    title : str
        Default: the name of the scenario.

    Returns
    -------
    plotly.graph_objects.Figure
        Its height follows from the number of rows; no series has more than 2 000 points.
    """
    traces = timeline_curves.since_load(traces) if x == "t_s" else traces
    rows = rows_of(traces, gauges, verdicts, x)
    if not rows:
        return empty("No readings: the trace holds no gauge with a value under load.")
    drawn = moving(rows, verdicts) if only_moving and not asked(gauges) else rows
    looks = _looks(traces, verdicts)
    heads = [_head(row, verdicts, looks) for row in drawn]
    head = LINE * max(map(len, heads)) + 16
    inner = len(drawn) * (ROW + head) - head
    figure = make_subplots(
        rows=len(drawn), shared_xaxes=True, vertical_spacing=head / inner if len(drawn) > 1 else 0
    )
    phases, told = timeline_curves.phases(traces, x), set[str]()
    rest = next(((p.start + p.end) / 2 for p in phases if p.name == "settled"), math.nan)
    for number, row in enumerate(drawn, 1):
        figure.add_traces(list(_lines(row, looks, rest, told)), number, 1)
        _axis(figure, row, number)
        _write_head(figure, heads[number - 1], number)
    _mark_phases(figure, phases)
    _frame(figure, title or scenarios(traces), runs(traces), head + _above(list(looks)), inner)
    figure.update_xaxes(title_text=_LABELS[x], row=len(drawn), col=1)
    figure.update_xaxes(unifiedhovertitle={"text": _HOVER[x]})
    _caption(figure, left_out(rows, drawn))
    return figure


def _looks(traces: pd.DataFrame, verdicts: pd.DataFrame | None) -> dict[str, Mark]:
    """Return a mark for each variant drawn, the one it has among all that were judged."""
    drawn = order(list(traces["variant"].unique()))
    judged = [] if verdicts is None else order(list(verdicts["variant"].unique()))
    looks = marks(list(dict.fromkeys([*judged, *drawn])))
    return {name: looks[name] for name in drawn}


def _lines(row: Row, looks: dict[str, Mark], rest: float, told: set[str]) -> Iterator[go.Scatter]:
    """Yield what one row draws.

    `rest` is where readings after the load stand; `told` has the variants in the legend already.
    """
    for name in (n for n in looks if n in row.curves):
        yield from _band(row, name, looks[name])
        yield _line(row, name, looks[name], name not in told)
        yield from _after(row, name, looks[name], rest)
    if not told:
        yield _key()
    told.update(row.curves)


def _line(row: Row, name: str, mark: Mark, in_legend: bool) -> go.Scatter:
    x, y = timeline_curves.thin(row.curves[name].x, row.curves[name].middle)
    return go.Scatter(
        x=x,
        y=y / row.scale,
        name=name,
        legendgroup=name,
        showlegend=in_legend,
        mode="lines" if np.isfinite(y).sum() > 1 else "markers",
        line={"color": mark.colour, "dash": mark.dash, "width": 2},
        marker={"color": mark.colour},
        hovertemplate=f"%{{y:.5~g}} {row.unit}",
    )


def _band(row: Row, name: str, mark: Mark) -> Iterator[go.Scatter]:
    curve = row.curves[name]
    if np.array_equal(curve.low, curve.high):
        return
    for edge, fill in ((curve.low, None), (curve.high, "tonexty")):
        x, y = timeline_curves.thin(curve.x, edge)
        yield go.Scatter(
            x=x,
            y=y / row.scale,
            name=f"{name}, range",
            legendgroup=name,
            showlegend=False,
            mode="lines",
            line={"width": 0, "color": mark.colour},
            fill=fill,
            fillcolor=mark.fill(),
            hoverinfo="skip",
        )


def _after(row: Row, name: str, mark: Mark, rest: float) -> Iterator[go.Scatter]:
    """Yield markers for what was left after collections, and once the load had ended."""
    curve, gauge = row.curves[name], row.gauge.name
    left, end = row.medians.collected(name, gauge), row.medians.settled(name, gauge)
    on_curve = np.interp(left.x, curve.x, curve.middle)
    apart = np.abs(left.middle - on_curve) > _APART * max(row.span, row.gauge.rise)
    x, y = timeline_curves.thin(left.x[apart], left.middle[apart], _MOST_MARKERS)
    if not len(x) and not len(end):
        return
    yield go.Scatter(
        x=np.append(x, [rest] * len(end)),
        y=np.append(y, end.middle) / row.scale,
        name=f"{name}, collected",
        legendgroup=name,
        showlegend=False,
        mode="markers",
        marker={
            "symbol": "triangle-down-open",
            "size": 8,
            "color": mark.colour,
            "line": {"width": 1.6},
        },
        hovertemplate=f"%{{y:.5~g}} {row.unit}",
    )


def _key() -> go.Scatter:
    """Return an entry of the legend for the triangles, which belong to every variant."""
    return go.Scatter(
        x=[None],
        y=[None],
        mode="markers",
        name="after a collection",
        legendrank=2000,
        marker={"symbol": "triangle-down-open", "size": 8, "color": INK},
        hoverinfo="skip",
    )


def _axis(figure: go.Figure, row: Row, number: int) -> None:
    # A level gauge must look level: the axis spans at least the smallest rise worth a word.
    middle, least = (row.highest + row.lowest) / 2, row.gauge.rise / 2
    figure.update_yaxes(
        title_text=row.unit,
        nticks=5,
        zeroline=False,
        autorangeoptions={"include": [(middle - least) / row.scale, (middle + least) / row.scale]},
        row=number,
        col=1,
    )


def _head(row: Row, verdicts: pd.DataFrame | None, looks: dict[str, Mark]) -> list[str]:
    """Return the lines above a row: what the gauge is, and what was judged of it."""
    what = f"  {row.gauge.what}" if row.gauge.what else ""
    title = f"<b>{plain(row.gauge.name)}</b>{plain(what)}"
    return [title, *verdict_lines(row.gauge.name, verdicts, looks)]


def _write_head(figure: go.Figure, lines: list[str], number: int) -> None:
    axis = str(number) if number > 1 else ""
    # Above the first row stand the names of the phases.
    shift = LINE if number == 1 else 2
    place = {"xref": f"x{axis} domain", "yref": f"y{axis} domain", "y": 1, "yanchor": "bottom"}
    _write(figure, lines, "head", yshift=shift, **place)


def _write(figure: go.Figure, lines: list[str], name: str, **place: Any) -> None:
    figure.add_annotation(
        text="<br>".join(lines),
        x=0,
        xanchor="left",
        align="left",
        showarrow=False,
        name=name,
        **place,
    )


def _mark_phases(figure: go.Figure, phases: list[timeline_curves.Phase]) -> None:
    for phase in phases:
        if phase.name != "steady":
            figure.add_shape(
                type="rect",
                xref="x",
                yref="paper",
                x0=phase.start,
                x1=phase.end,
                y0=0,
                y1=1,
                fillcolor=SHADE,
                line_width=0,
                layer="below",
                name=phase.name,
            )
        figure.add_annotation(
            text=f"<i>{phase.name}</i>",
            x=(phase.start + phase.end) / 2,
            y=1,
            xref="x",
            yref="paper",
            yanchor="bottom",
            showarrow=False,
            font={"size": 11},
            name="phase",
        )


def _above(names: list[str]) -> int:
    """Return the height above the first row's head, for a legend that breaks on a narrow page."""
    wide = sum(55 + 7 * len(name) for name in (*names, "after a collection"))
    return TOP + 20 * (wide // _LEGEND_WIDTH)


def _frame(figure: go.Figure, title: str, runs: str, top: int, inner: int) -> None:
    height = top + inner + BOTTOM
    figure.update_layout(
        template=template(),
        height=height,
        margin={"t": top, "b": BOTTOM, "l": 70, "r": 16},
        title={
            "text": plain(title),
            "subtitle": {"text": runs, "font": {"size": 12}},
            "yref": "container",
            "y": 1,
            "yanchor": "top",
            "pad": {"t": 10},
        },
        legend={
            "orientation": "h",
            "yref": "container",
            "y": 1 - 54 / height,
            "yanchor": "top",
            "x": 0,
            "itemwidth": 40,
        },
        hovermode="x unified",
    )
    figure.update_xaxes(showgrid=False, zeroline=False)


def _caption(figure: go.Figure, text: str) -> None:
    lines = [plain(line) for line in textwrap.wrap(text, 115)]
    if not lines:
        return
    figure.layout.height += LINE * len(lines)
    figure.layout.margin.b += LINE * len(lines)
    place = {"xref": "paper", "yref": "paper", "y": 0, "yanchor": "top", "yshift": -BOTTOM + 8}
    _write(figure, lines, "caption", font={"size": 11}, **place)
