"""Growth curves: every gauge on one x-axis, variants side by side, phases marked."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.analysis.rows import Rows
from resleak.figures import timeline_rows
from resleak.figures.plotly_theme import empty, plain, template, titled
from resleak.figures.sentences import OWN
from resleak.figures.style import INK, SHADE, Mark, marks, order
from resleak.figures.timeline_rows import LOADED, Axis, Row, thin

#: Pixels: a row's plot, what stands above and below all rows, and a line of text.
ROW, TOP, BOTTOM, LINE = 150, 84, 56, 17
#: A reading after a collection is marked when it is off the curve by this share of the row.
_APART = 0.02
_MOST_MARKERS = 150
#: Characters of a line that a phone shows whole.
_NARROW = 58
_LEGEND_WIDTH = 500
_COLLECTED = "after a collection"
_TRIANGLE = {"symbol": "triangle-down-open", "size": 8}
_HOVER = {"step": "step %{x}", "t_s": "%{x:.3f} s"}
_LABELS = {"step": "step", "t_s": "time since the load began, s"}


def timeline(
    traces: pd.DataFrame,
    gauges: object = None,
    verdicts: pd.DataFrame | Iterable[GaugeVerdict] | None = None,
    x: Axis = "step",
    *,
    only_moving: bool = True,
    title: str = "",
) -> go.Figure:
    """Draw the growth curves of all gauges, one row each, on one shared x-axis.

    Parameters
    ----------
    traces : DataFrame
        Rows of `resleak.traces`.
    gauges : mapping of str to Gauge, or iterable of str or Gauge, optional
        A mapping describes the gauges; of these, and without it of all in the trace, those that
        moved are drawn. Names are drawn in the order given, moved or not.
    verdicts : DataFrame or iterable of GaugeVerdict, optional
        ``resleak.judge(…).frame``; written above each row, worst gauge first.
    x : {"step", "t_s"}
        Steps, or seconds since the load began.
    only_moving : bool
        Leave out gauges that stayed within their smallest rise of note; the caption names them.
    title : str
        Default: the name of the scenario.

    Returns
    -------
    plotly.graph_objects.Figure
        Lines are medians over the runs of a variant, bands their range. Triangles are readings
        after a garbage collection, where they lie off the line, and after the load ended. No
        series has more than 2,000 points.
    """
    if x == "t_s":
        loaded = traces["t_s"].where(traces["phase"].isin(LOADED))
        starts = loaded.groupby([traces["variant"], traces["run"]]).transform("min")
        traces = traces.assign(t_s=traces["t_s"] - starts)
    judged = Rows.of(GaugeVerdict, () if verdicts is None else verdicts)
    name = timeline_rows.scenarios(traces)
    if name and list(traces["variant"].unique()) == [OWN]:  # somebody's own code
        traces = traces.assign(variant=name)
        judged = Rows(GaugeVerdict, (replace(one, variant=name) for one in judged))
    rows = timeline_rows.rows_of(traces, gauges, judged, x)
    if not rows:
        return empty("No readings: the trace holds no gauge with a value under load.")
    shown = rows
    if gauges is None or isinstance(gauges, Mapping):  # and not listed by name
        rows, moving = timeline_rows.worst_first(rows, judged)
        shown = moving if only_moving else rows
    figure = _draw(traces, shown, judged, x, title)
    caption = [plain(line) for line in textwrap.wrap(timeline_rows.left_out(rows, shown), _NARROW)]
    if caption:
        figure.layout.height += LINE * len(caption)
        figure.layout.margin.b += LINE * len(caption)
        place = {"xref": "paper", "yref": "paper", "y": 0, "yanchor": "top", "yshift": -BOTTOM + 8}
        _write(figure, caption, "caption", font={"size": 11}, **place)
    return figure


def _draw(
    traces: pd.DataFrame, rows: list[Row], verdicts: Rows[GaugeVerdict], x: Axis, title: str
) -> go.Figure:
    # A variant looks as it does among all that were judged.
    present = order(traces["variant"].unique())
    looks = marks(dict.fromkeys([*order(one.variant for one in verdicts), *present]))
    looks = {name: looks[name] for name in present}
    heads = [timeline_rows.head_lines(row.gauge, verdicts, looks) for row in rows]
    head = LINE * max(map(len, heads)) + 16
    inner = len(rows) * (ROW + head) - head
    spacing = head / inner if len(rows) > 1 else 0
    figure = make_subplots(rows=len(rows), shared_xaxes=True, vertical_spacing=spacing)
    phases, in_legend = timeline_rows.phases(traces, x), set[str]()
    rest = next(((start + end) / 2 for name, start, end in phases if name == "settled"), math.nan)
    for number, row in enumerate(rows, 1):
        figure.add_traces(list(_lines(row, looks, rest, in_legend)), number, 1)
        # A flat gauge must look flat: the axis spans at least the smallest rise of note.
        middle, least = (row.highest + row.lowest) / 2, row.gauge.rise / 2
        include = [(middle - least) / row.scale, (middle + least) / row.scale]
        style = {"title_text": plain(row.unit), "nticks": 5, "zeroline": False}
        figure.update_yaxes(**style, autorangeoptions={"include": include}, row=number, col=1)
        axis = str(number) if number > 1 else ""
        place = {"xref": f"x{axis} domain", "yref": f"y{axis} domain", "y": 1, "yanchor": "bottom"}
        # Above the first row stand the names of the phases.
        _write(figure, heads[number - 1], "head", yshift=LINE if number == 1 else 2, **place)
    for name, start, end in phases:
        if name != "steady":
            box = {"x0": start, "x1": end, "y0": 0, "y1": 1, "name": name, "xref": "x"}
            look = {"fillcolor": SHADE, "line_width": 0, "layer": "below"}
            figure.add_shape(type="rect", yref="paper", **box, **look)
        place = {"x": (start + end) / 2, "y": 1, "xref": "x", "yref": "paper", "name": "phase"}
        look = {"yanchor": "bottom", "showarrow": False, "font": {"size": 11}}
        figure.add_annotation(text=f"<i>{name}</i>", **place, **look)
    # A legend breaks on a narrow page.
    width = sum(55 + 7 * len(name) for name in (*looks, _COLLECTED))
    top = head + TOP + 20 * (width // _LEGEND_WIDTH)
    height = top + inner + BOTTOM
    legend = {"orientation": "h", "yref": "container", "yanchor": "top", "x": 0, "itemwidth": 40}
    figure.update_layout(
        template=template(),
        height=height,
        margin={"t": top, "b": BOTTOM, "l": 70, "r": 16},
        title=titled(title or timeline_rows.scenarios(traces), timeline_rows.runs(traces)),
        legend={**legend, "y": 1 - 54 / height},
        hovermode="x unified",
    )
    figure.update_xaxes(showgrid=False, zeroline=False, unifiedhovertitle={"text": _HOVER[x]})
    figure.update_xaxes(title_text=_LABELS[x], row=len(rows), col=1)
    return figure


def _lines(
    row: Row, looks: dict[str, Mark], rest: float, in_legend: set[str]
) -> Iterator[go.Scatter]:
    """Yield the traces of one row; `rest` is where readings after the load stand."""
    for name in (n for n in looks if n in row.curves):
        curve, mark = row.curves[name], looks[name]
        style: dict[str, Any]
        hover = f"%{{y:.5~g}} {plain(row.unit)}"
        if not np.array_equal(curve.low, curve.high):
            style = {"name": f"{name}, range", "mode": "lines", "hoverinfo": "skip"}
            style |= {"line": {"width": 0, "color": mark.colour}, "fillcolor": mark.fill()}
            for edge, fill in ((curve.low, None), (curve.high, "tonexty")):
                yield _scatter(row, name, *thin(curve.x, edge), fill=fill, **style)
        x, y = thin(curve.x, curve.middle)
        style = {"mode": "lines" if np.isfinite(y).sum() > 1 else "markers"}
        style |= {"line": {"color": mark.colour, "dash": mark.dash, "width": 2}}
        style |= {"marker": {"color": mark.colour}, "showlegend": name not in in_legend}
        yield _scatter(row, name, x, y, hovertemplate=hover, **style)
        # Readings after collections that lie off the curve, and those after the load.
        x, y = np.empty(0), np.empty(0)
        if collected := row.collected.get(name):
            least = _APART * max(row.highest - row.lowest, row.gauge.rise)
            apart = np.abs(collected.middle - np.interp(collected.x, curve.x, curve.middle)) > least
            x, y = thin(collected.x[apart], collected.middle[apart], _MOST_MARKERS)
        if settled := row.settled.get(name):
            x, y = np.append(x, [rest] * len(settled.middle)), np.append(y, settled.middle)
        if len(x):
            marker = {**_TRIANGLE, "color": mark.colour, "line": {"width": 1.6}}
            style = {"mode": "markers", "marker": marker, "name": f"{name}, collected"}
            yield _scatter(row, name, x, y, hovertemplate=hover, **style)
    if not in_legend:  # the entry for the triangles, which belong to every variant
        marker = {**_TRIANGLE, "color": INK}
        yield go.Scatter(
            x=[None], y=[None], mode="markers", marker=marker, name=_COLLECTED, legendrank=2000,
            hoverinfo="skip",
        )  # fmt: skip
    in_legend.update(row.curves)


def _scatter(row: Row, variant: str, x: Any, y: Any, **style: Any) -> go.Scatter:
    style = {"name": variant, "legendgroup": variant, "showlegend": False, **style}
    return go.Scatter(x=x, y=y / row.scale, **style)


def _write(figure: go.Figure, lines: list[str], name: str, **place: Any) -> None:
    style = {"x": 0, "xanchor": "left", "align": "left", "showarrow": False, "name": name}
    figure.add_annotation(text="<br>".join(lines), **style, **place)
