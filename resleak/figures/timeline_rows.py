"""The rows of a timeline: per gauge its curves over the runs, its scale, and its verdicts."""

from __future__ import annotations

from collections import ChainMap, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resleak.analysis import wording
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.figures.html_table import worst_ranks
from resleak.figures.plotly_theme import plain
from resleak.figures.style import Mark
from resleak.workload.gauges import BUILTIN, CONTEXT, Gauge
from resleak.workload.verdict_words import FLAT, VERDICTS

Axis = Literal["step", "t_s"]
Floats = NDArray[np.float64]

#: Columns of a trace that are not gauges.
INDEX = frozenset({"t_s", "step", "block", "phase", "moment", "scenario", "variant", "run"})
LOADED = ("warmup", "steady")
#: Width of the slot of settled readings, which have no step, as a share of the last step.
SLOT = 0.05
#: Moments at which a gauge is read under load, the best for a curve first.
_MOMENTS = ("step", "after_collect", "reading", "sample")
#: Characters that fit in a line above a row, in a notebook of the usual width.
_LINE = 105


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


def rows_of(
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
        names = [str(n) for n in traces.columns if n not in INDEX and n not in CONTEXT]
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


def worst_first(rows: list[Row], verdicts: Iterable[GaugeVerdict]) -> tuple[list[Row], list[Row]]:
    """Return the rows in order, and of them those that moved or were judged to; all if none did."""
    worst, flat = worst_ranks(verdicts), VERDICTS.index(FLAT)
    rows = sorted(rows, key=lambda row: worst.get(row.gauge.name, 0))
    moving = [row for row in rows if row.is_moving or worst.get(row.gauge.name, flat) < flat]
    return rows, moving or rows


def left_out(rows: list[Row], shown: list[Row]) -> str:
    """Return a sentence that names the gauges that are not drawn, with their values."""
    absent = [row for row in rows if row not in shown]
    if not absent:
        is_moving = any(row.is_moving for row in rows)
        return "" if is_moving else "No gauge moved enough to call it growth."
    values = []
    for row in absent:
        low, high = (wording.bare(value, row.gauge.unit) for value in (row.lowest, row.highest))
        values.append(f"{row.gauge.name} at {low}" + ("" if low == high else f" to {high}"))
    return f"Not drawn, as they moved less than the smallest rise of note: {', '.join(values)}."


def head_lines(
    gauge: Gauge, verdicts: Iterable[GaugeVerdict], looks: Mapping[str, Mark]
) -> list[str]:
    """Return what stands above a row: the gauge, and its verdict in each variant."""
    title = f"<b>{plain(gauge.name)}</b>{plain(f'  {gauge.what}' if gauge.what else '')}"
    by_variant = {one.variant: one for one in verdicts if one.gauge == gauge.name}
    lines, room = [title], 0
    for name in (n for n in looks if n in by_variant):
        word, _, rate = wording.label(by_variant[name]).partition(" ")
        width = len(name) + len(word) + len(rate) + 7
        if room < width:
            lines.append("")
            room = _LINE
        room -= width
        swatch = f'<span style="color:{looks[name].colour}">■</span>'
        lines[-1] += f"{swatch} {plain(name)}: <b>{word}</b> {plain(rate)}&#160;&#160; "
    return lines


def scenarios(traces: pd.DataFrame) -> str:
    """Return the names of the scenarios in a trace."""
    return ", ".join(sorted(map(str, traces["scenario"].unique()))) if "scenario" in traces else ""


def runs(traces: pd.DataFrame) -> str:
    """Return how many runs there are, and the meaning of lines and bands."""
    counts = traces.groupby("variant")["run"].nunique()
    low, high = counts.min(), counts.max()
    if high == 1:
        return "one run of each variant"
    count = f"{low}" if low == high else f"{low} to {high}"
    return f"{count} runs of each variant: line = median, band = lowest to highest"


def thin(x: Floats, y: Floats, most: int = 2000) -> tuple[Floats, Floats]:
    """Return at most `most` points that keep ends and extremes, in the order given."""
    if len(x) <= most:
        return x, y
    edges = np.linspace(0, len(y), max(most // 2 - 1, 1) + 1).astype(int)
    extremes = [(a + y[a:b].argmin(), a + y[a:b].argmax()) for a, b in pairwise(edges) if b > a]
    keep = np.unique(np.append(np.array(extremes), (0, len(y) - 1)))
    return x[keep], y[keep]


def phases(traces: pd.DataFrame, axis: Axis) -> list[tuple[str, float, float]]:
    """Return where warm-up, steady state and settling begin and end on the x-axis."""
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
        stretches.append(("settled", last, last * (1 + SLOT)))
    return stretches
