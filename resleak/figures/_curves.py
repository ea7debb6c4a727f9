"""What a growth curve needs from a trace: medians over runs, thinned, and where phases lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resleak.declare import Gauge
from resleak.gauges import BUILTIN, CONTEXT

Axis = Literal["step", "t_s"]
Floats = NDArray[np.float64]

#: Columns of a trace that are not gauges.
INDEX = frozenset({"t_s", "step", "block", "phase", "moment", "scenario", "variant", "run"})
LOADED = ("warmup", "steady")
#: A settled reading has no step of its own: it gets a slot this wide beside the last one.
SLOT = 0.05


@dataclass(frozen=True)
class Curve:
    """One gauge of one variant: the median over the runs, and the range of the runs about it."""

    x: Floats
    middle: Floats
    low: Floats
    high: Floats

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Phase:
    """A stretch of the x-axis with its name for people."""

    name: str
    start: float
    end: float


def choose(traces: pd.DataFrame, gauges: object = None) -> dict[str, Gauge]:
    """Return the gauges to draw, by name: those asked for, or all that the trace has.

    Parameters
    ----------
    traces : DataFrame
        With a column for each gauge; ``traces.attrs["units"]`` may name the units.
    gauges : mapping of str to Gauge, or iterable of str or Gauge, optional

    Returns
    -------
    dict of str to Gauge
        Only gauges with at least one reading.
    """
    units = traces.attrs.get("units", {})
    wanted = _named(gauges, units) if gauges is not None else _all(traces, units)
    return {k: g for k, g in wanted.items() if k in traces and traces[k].notna().any()}


def _named(gauges: object, units: Mapping[str, str]) -> dict[str, Gauge]:
    if isinstance(gauges, Mapping):
        return dict(gauges)
    assert isinstance(gauges, Iterable)
    made = [g if isinstance(g, Gauge) else _gauge(str(g), units) for g in gauges]
    return {gauge.name: gauge for gauge in made}


def _all(traces: pd.DataFrame, units: Mapping[str, str]) -> dict[str, Gauge]:
    names = [str(c) for c in traces.columns if c not in INDEX and c not in CONTEXT]
    return {name: _gauge(name, units) for name in names}


def _gauge(name: str, units: Mapping[str, str]) -> Gauge:
    return BUILTIN.get(name) or Gauge(name, units.get(name, ""))


def curve(rows: pd.DataFrame, gauge: str, axis: Axis = "step") -> Curve:
    """Return one gauge of one variant while it was under load.

    Parameters
    ----------
    rows : DataFrame
        The trace of one variant, of any number of runs.
    gauge : str
        A gauge read after every step, or else after every collection.
    axis : {"step", "t_s"}
        What `x` is; times are the median over the runs of when a step was done.
    """
    loaded = rows[rows["phase"].isin(LOADED) & rows[gauge].notna()]
    for moment in ("step", "after_collect", "sample"):
        found = loaded[loaded["moment"] == moment]
        if len(found):
            return _over_runs(found, gauge, axis)
    return _over_runs(loaded, gauge, axis)


def collected(rows: pd.DataFrame, gauge: str, axis: Axis = "step") -> Curve:
    """Return what was left of one gauge after each collection under load."""
    quiet = (rows["moment"] == "after_collect") & rows["phase"].isin(LOADED)
    return _over_runs(rows[quiet & rows[gauge].notna()], gauge, axis)


def settled(rows: pd.DataFrame, gauge: str, axis: Axis = "step") -> Curve:
    """Return what was left of one gauge after the load ended, as a curve of at most one point."""
    quiet = rows[(rows["phase"] == "settle") & (rows["moment"] == "after_collect")]
    last = quiet[quiet[gauge].notna()].groupby("run", as_index=False).last()
    return _over_runs(last, gauge, axis)


def _over_runs(rows: pd.DataFrame, gauge: str, axis: Axis) -> Curve:
    steps = rows.groupby("step", sort=True)
    values = steps[gauge].agg(["median", "min", "max"]).astype("float64")
    x = steps[axis].median().to_numpy(dtype="float64")
    return Curve(x, *(values[name].to_numpy() for name in ("median", "min", "max")))


def thin(x: Floats, y: Floats, most: int = 2000) -> tuple[Floats, Floats]:
    """Return at most `most` points that keep every visible extreme: a minimum and a maximum each.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
    most : int
        Most points to return.

    Returns
    -------
    x, y : ndarray, shape (m,)
        In the order given; the first and the last point are always among them.
    """
    if len(x) <= most:
        return x, y
    edges = np.linspace(0, len(y), max(most // 2 - 1, 1) + 1).astype(int)
    found = [(a + y[a:b].argmin(), a + y[a:b].argmax()) for a, b in pairwise(edges) if b > a]
    keep = np.unique(np.append(np.array(found), (0, len(y) - 1)))
    return x[keep], y[keep]


def phases(traces: pd.DataFrame, axis: Axis = "step") -> list[Phase]:
    """Return where the warm-up, the steady part and the settling lie on the x-axis."""
    ends = {name: _edges(traces, name, axis) for name in LOADED}
    found = [(name, edge) for name, edge in ends.items() if edge is not None]
    if not found:
        return []
    start, last = min(e[0] for _, e in found), max(e[1] for _, e in found)
    made, left = [], min(start, 0.0) if axis == "step" else start
    for name, (_, right) in found:
        made.append(Phase(name.replace("warmup", "warm-up"), left, right))
        left = right
    if (traces["phase"] == "settle").any():
        made.append(Phase("settled", last, last + SLOT * (last - made[0].start)))
    return made


def _edges(traces: pd.DataFrame, phase: str, axis: Axis) -> tuple[float, float] | None:
    rows = traces[traces["phase"] == phase]
    if rows.empty:
        return None
    runs = rows.groupby(["variant", "run"])[axis]
    return float(runs.min().median()), float(runs.max().median())
