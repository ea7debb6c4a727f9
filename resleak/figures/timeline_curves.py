"""What a growth curve needs from a trace: medians over runs, thinned, and where phases lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from resleak.workload.gauges import BUILTIN, CONTEXT, Gauge

Axis = Literal["step", "t_s"]
Floats = NDArray[np.float64]

#: Columns of a trace that are not gauges.
INDEX = frozenset({"t_s", "step", "block", "phase", "moment", "scenario", "variant", "run"})
LOADED = ("warmup", "steady")
#: A settled reading has no step of its own: it gets a slot this wide beside the last one.
SLOT = 0.05


@dataclass(frozen=True, eq=False)
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


class Medians:
    """The runs of every variant reduced to one curve a gauge, all gauges at a time.

    Parameters
    ----------
    traces : DataFrame
        Rows of any number of variants and runs.
    gauges : iterable of str
        Which columns.
    axis : {"step", "t_s"}
        What `x` is; times are the median over the runs of when a step was done.
    """

    def __init__(self, traces: pd.DataFrame, gauges: Iterable[str], axis: Axis = "step") -> None:
        self._gauges, self._axis = list(gauges), axis
        wanted = dict.fromkeys(["variant", "run", "step", axis, "phase", "moment", *self._gauges])
        rows = pd.DataFrame({name: traces[name] for name in wanted})  # without its attributes
        loaded = rows[rows["phase"].isin(LOADED)]
        self._under = {str(name): self._reduced(part) for name, part in loaded.groupby("moment")}
        quiet = rows[(rows["phase"] == "settle") & (rows["moment"] == "after_collect")]
        last = quiet.groupby(["variant", "run"], as_index=False).last()
        self._settled = self._reduced(last)

    def _reduced(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        steps = rows.groupby(["variant", "step"], sort=True)
        reduced = steps[self._gauges].agg(["median", "min", "max"])
        # Assigned by its place: with "step" the axis is also what is grouped by.
        reduced[("x", "")] = steps[self._axis].median().to_numpy(dtype="float64")
        return {str(name): part for name, part in reduced.groupby(level="variant")}

    def load(self, variant: str, gauge: str) -> Curve:
        """Return a gauge under load: read after every step, or else after every collection."""
        for moment in ("step", "after_collect", "reading", "sample"):
            found = _curve(self._under.get(moment, {}), variant, gauge)
            if len(found):
                return found
        return _curve({}, variant, gauge)

    def collected(self, variant: str, gauge: str) -> Curve:
        """Return what was left of a gauge after each collection under load."""
        return _curve(self._under.get("after_collect", {}), variant, gauge)

    def settled(self, variant: str, gauge: str) -> Curve:
        """Return what was left of a gauge once the load had ended: a point, or nothing."""
        return _curve(self._settled, variant, gauge)


def _curve(reduced: Mapping[str, pd.DataFrame], variant: str, gauge: str) -> Curve:
    nothing = np.empty(0)
    if variant not in reduced:
        return Curve(nothing, nothing, nothing, nothing)
    known = reduced[variant][reduced[variant][(gauge, "median")].notna()]
    edges = ((gauge, name) for name in ("median", "min", "max"))
    return Curve(*(known[key].to_numpy(dtype="float64") for key in (("x", ""), *edges)))


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


def since_load(traces: pd.DataFrame) -> pd.DataFrame:
    """Return the trace with ``t_s`` counted from the start of each run's load."""
    loaded = traces[traces["phase"].isin(LOADED)]
    begun = loaded.groupby(["variant", "run"])["t_s"].min().rename("begun")
    starts = traces[["variant", "run"]].join(begun, on=["variant", "run"])["begun"]
    return traces.assign(t_s=traces["t_s"] - starts)


def phases(traces: pd.DataFrame, axis: Axis = "step") -> list[Phase]:
    """Return where the warm-up, the steady part and the settling lie on the x-axis.

    Over time the variants differ: the warm-up ends where it ends for the middle one, the steady
    part where it ends for the last.
    """
    loaded = traces.loc[traces["phase"].isin(LOADED), ["variant", "run", "phase", axis]]
    if loaded.empty:
        return []
    ends = loaded.groupby(["phase", "variant", "run"])[axis].max()
    ends = ends.groupby(level=["phase", "variant"]).median()
    present = set(loaded["phase"])
    last, made, left = float(ends.max()), [], 0.0
    if "warmup" in present:
        made.append(Phase("warm-up", left, float(ends["warmup"].median())))
        left = made[0].end
    if "steady" in present:
        made.append(Phase("steady", left, last))
    if (traces["phase"] == "settle").any():
        made.append(Phase("settled", last, last * (1 + SLOT)))
    return made
