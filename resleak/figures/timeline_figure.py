"""Growth curves: every gauge on one x-axis, variants side by side, phases marked."""

from __future__ import annotations

import math
import textwrap
from collections import ChainMap, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from resleak.analysis import wording
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.analysis.rows import Rows
from resleak.figures.html_table import worst_ranks
from resleak.figures.live_svg import LOADED, thin
from resleak.figures.plotly_theme import empty, plain, template, titled
from resleak.figures.sentences import OWN
from resleak.figures.style import INK, SHADE, Mark, marks, order
from resleak.workload.gauges import BUILTIN, CONTEXT, Gauge
from resleak.workload.verdict_words import FLAT, VERDICTS

Axis = Literal["step", "t_s"]
Floats = NDArray[np.float64]

#: Pixels: a row's plot, what stands above and below all rows, and a line of text.
ROW, TOP, BOTTOM, LINE = 150, 84, 56, 17
#: A reading after a collection is marked when it is off the curve by this share of the row.
_APART = 0.02
#: Characters of a line that a phone shows whole.
_NARROW = 58
_LEGEND_WIDTH = 500
_COLLECTED = "after a collection"
_TRIANGLE = {"symbol": "triangle-down-open", "size": 8}
_HOVER = {"step": "step %{x}", "t_s": "%{x:.3f} s"}
_LABELS = {"step": "step", "t_s": "time since the load began, s"}
#: Columns of a trace that are not gauges.
_INDEX = frozenset({"t_s", "step", "block", "phase", "moment", "scenario", "variant", "run"})
#: Moments at which a gauge is read under load, the best for a curve first.
_MOMENTS = ("step", "after_collect", "reading", "sample")
#: Width of the slot of readings after the load, which have no step, as a share of the last step.
_SLOT = 0.05
#: Most points of a curve, and most markers on it.
_MOST, _MOST_MARKERS = 2000, 150
#: Characters that fit in a line above a row, in a notebook of the usual width.
_WIDE = 105


class Curve(NamedTuple):
    """One gauge of one variant: the median over the runs, and their range."""

    x: Floats
    low: Floats
    middle: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class Row:
    """One gauge: by variant its curve under load, its readings after collections and at the end."""

    gauge: Gauge
    curves: dict[str, Curve]
    collected: dict[str, Curve]
    settled: dict[str, Curve]
    #: Of any run.
    lowest: float
    highest: float
    unit: str
    scale: float

    @property
    def is_moving(self) -> bool:
        """True if it rose by more than the gauge's smallest rise worth mentioning."""
        return self.highest - self.lowest >= self.gauge.rise


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
    name = _scenarios(traces)
    if name and list(traces["variant"].unique()) == [OWN]:  # somebody's own code
        traces = traces.assign(variant=name)
        judged = Rows(GaugeVerdict, (replace(one, variant=name) for one in judged))
    rows = _rows(traces, gauges, judged, x)
    if not rows:
        return empty("No readings: the trace holds no gauge with a value under load.")
    shown = rows
    if gauges is None or isinstance(gauges, Mapping):  # and not listed by name
        rows, moving = _worst_first(rows, judged)
        shown = moving if only_moving else rows
    figure = _draw(traces, shown, judged, x, title)
    caption = [plain(line) for line in textwrap.wrap(_left_out(rows, shown), _NARROW)]
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
    heads = [_head(row.gauge, verdicts, looks) for row in rows]
    head = LINE * max(map(len, heads)) + 16
    inner = len(rows) * (ROW + head) - head
    spacing = head / inner if len(rows) > 1 else 0
    figure = make_subplots(rows=len(rows), shared_xaxes=True, vertical_spacing=spacing)
    phases, in_legend = _phases(traces, x), set[str]()
    rest = next(((start + end) / 2 for name, start, end in phases if name == "cool-down"), math.nan)
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
        title=titled(title or _scenarios(traces), _runs(traces)),
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
                yield _scatter(row, name, *thin(curve.x, edge, _MOST), fill=fill, **style)
        x, y = thin(curve.x, curve.middle, _MOST)
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


def _rows(
    traces: pd.DataFrame, gauges: object, verdicts: Iterable[GaugeVerdict], axis: Axis
) -> list[Row]:
    """Return a row for each gauge with readings under load."""
    chosen = _chosen(traces, gauges)
    if not chosen:
        return []
    reduced = _reduced(traces, list(chosen), axis)
    units = {one.gauge: one.unit for one in verdicts}
    rows = []
    for name, gauge in chosen.items():
        curves: dict[str, dict[str, Curve]] = defaultdict(dict)  # by moment and variant
        columns = [("x", ""), *((name, what) for what in ("min", "median", "max"))]
        present = reduced[reduced[(name, "median")].notna()]
        for (variant, moment), part in present.groupby(level=["variant", "moment"]):
            low_to_high = (part[column].to_numpy(dtype="float64") for column in columns)
            curves[str(moment)][str(variant)] = Curve(*low_to_high)
        under_load = dict(ChainMap(*(curves[moment] for moment in _MOMENTS)))
        if under_load:
            unit, power = gauge.unit or units.get(name, ""), 0
            if unit == "B":
                most = max(float(np.abs(curve.high).max()) for curve in under_load.values())
                power = min(int(np.log2(max(most, 1.0)) // 10), 4)
                unit = ("B", "KiB", "MiB", "GiB", "TiB")[power]
            lowest = min(float(curve.low.min()) for curve in under_load.values())
            highest = max(float(curve.high.max()) for curve in under_load.values())
            others = (curves["after_collect"], curves["settled"], lowest, highest)
            rows.append(Row(gauge, under_load, *others, unit, 1024.0**power))
    return rows


def _chosen(traces: pd.DataFrame, gauges: object) -> dict[str, Gauge]:
    """Return the gauges to draw that have readings: those given, or all of the trace."""
    units = traces.attrs.get("units", {})
    if isinstance(gauges, Mapping):
        wanted = dict(gauges)
    else:
        names = [str(n) for n in traces.columns if n not in _INDEX and n not in CONTEXT]
        named = [
            g if isinstance(g, Gauge) else BUILTIN.get(str(g)) or Gauge(str(g), units.get(g, ""))
            for g in (gauges if isinstance(gauges, Iterable) else names)
        ]
        wanted = {gauge.name: gauge for gauge in named}
    return {k: g for k, g in wanted.items() if k in traces and traces[k].notna().any()}


def _reduced(traces: pd.DataFrame, gauges: list[str], axis: Axis) -> pd.DataFrame:
    """Return lowest, median and highest run, by variant, moment (also ``settled``) and step."""
    wanted = dict.fromkeys(["variant", "run", "step", axis, "phase", "moment", *gauges])
    rows = pd.DataFrame({name: traces[name] for name in wanted})  # without its attributes
    after = rows[(rows["phase"] == "settle") & (rows["moment"] == "after_collect")]
    settled = after.groupby(["variant", "run"], as_index=False).last().assign(moment="settled")
    joined = pd.concat([rows[rows["phase"].isin(LOADED)], settled])
    groups = joined.groupby(["variant", "moment", "step"])
    reduced = groups[gauges].agg(["min", "median", "max"])
    # Assigned by position: with "step" the axis is also what is grouped by.
    reduced[("x", "")] = groups[axis].median().to_numpy(dtype="float64")
    return reduced


def _worst_first(rows: list[Row], verdicts: Iterable[GaugeVerdict]) -> tuple[list[Row], list[Row]]:
    """Return the rows in order, and of them those that moved or were judged to; all if none did."""
    worst, flat = worst_ranks(verdicts), VERDICTS.index(FLAT)
    rows = sorted(rows, key=lambda row: worst.get(row.gauge.name, 0))
    moving = [row for row in rows if row.is_moving or worst.get(row.gauge.name, flat) < flat]
    return rows, moving or rows


def _left_out(rows: list[Row], shown: list[Row]) -> str:
    """Return a sentence that names the gauges that are not drawn, with their values."""
    absent = [row for row in rows if row not in shown]
    if not absent:
        is_moving = any(row.is_moving for row in rows)
        return "" if is_moving else "No gauge moved enough to call it growth."
    values = []
    for row in absent:
        low, high = (wording.bare(value, row.gauge.unit) for value in (row.lowest, row.highest))
        values.append(f"{row.gauge.name} at {low}" + ("" if low == high else f" to {high}"))
    return f"Not drawn: no notable change: {', '.join(values)}."


def _head(gauge: Gauge, verdicts: Iterable[GaugeVerdict], looks: Mapping[str, Mark]) -> list[str]:
    """Return what stands above a row: the gauge, and its verdict in each variant."""
    title = f"<b>{plain(gauge.name)}</b>{plain(f'  {gauge.what}' if gauge.what else '')}"
    by_variant = {one.variant: one for one in verdicts if one.gauge == gauge.name}
    lines, room = [title], 0
    for name in (n for n in looks if n in by_variant):
        word, _, rate = wording.label(by_variant[name]).partition(" ")
        width = len(name) + len(word) + len(rate) + 7
        if room < width:
            lines.append("")
            room = _WIDE
        room -= width
        swatch = f'<span style="color:{looks[name].colour}">■</span>'
        lines[-1] += f"{swatch} {plain(name)}: <b>{word}</b> {plain(rate)}&#160;&#160; "
    return lines


def _scenarios(traces: pd.DataFrame) -> str:
    """Return the names of the scenarios in a trace."""
    return ", ".join(sorted(map(str, traces["scenario"].unique()))) if "scenario" in traces else ""


def _runs(traces: pd.DataFrame) -> str:
    """Return how many runs there are, and the meaning of lines and bands."""
    counts = traces.groupby("variant")["run"].nunique()
    low, high = counts.min(), counts.max()
    if high == 1:
        return "one run of each variant"
    count = f"{low}" if low == high else f"{low} to {high}"
    return f"{count} runs of each variant: line = median, band = lowest to highest"


def _phases(traces: pd.DataFrame, axis: Axis) -> list[tuple[str, float, float]]:
    """Return where warm-up, steady state and cool-down begin and end on the x-axis."""
    loaded = traces.loc[traces["phase"].isin(LOADED), ["variant", "run", "phase", axis]]
    if loaded.empty:
        return []
    ends = loaded.groupby(["phase", "variant", "run"])[axis].max()
    ends = ends.groupby(level=["phase", "variant"]).median()
    # Over time the variants differ: the warm-up is the median one's, the steady state the last's.
    present, last, left = set(loaded["phase"]), float(ends.max()), 0.0
    stretches = []
    if "warmup" in present:
        left = float(ends["warmup"].median())
        stretches.append(("warm-up", 0.0, left))
    if "steady" in present:
        stretches.append(("steady", left, last))
    if (traces["phase"] == "settle").any():
        stretches.append(("cool-down", last, last * (1 + _SLOT)))
    return stretches
