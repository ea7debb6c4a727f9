"""Hold the limits a scenario declares against what was measured."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from resleak.captures.frames import Capture, gauges_of
from resleak.workload.scenario import Limit

_COLUMNS = ["gauge", "limit", "holds", "worst", "allowed", "unit", "source"]
_SECONDS = ("exit_s", "cleanup_s", "cpu_s")


def check(captures: Iterable[Capture]) -> pd.DataFrame:
    """Hold every declared limit against every run of one variant.

    Parameters
    ----------
    captures : iterable of Capture
        The runs of one variant with the gauges.

    Returns
    -------
    DataFrame
        One row a limit: ``gauge limit holds worst allowed unit source``. `holds` is None where
        nothing was measured; `worst` is the reading that comes closest to breaking it, over all
        runs, and `allowed` the bound, both in `unit`.
    """
    runs = [c for c in captures if c.instrument == "gauges"]
    limits = [limit for c in runs[:1] for limit in c.manifest.scenario.limits]
    rows = [_check_one(limit, runs) for limit in limits]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _check_one(limit: Limit, runs: list[Capture]) -> dict[str, Any]:
    found = np.concatenate([readings(limit, run) for run in runs])
    found = found[~np.isnan(found)]
    worst = _worst(limit, found) if len(found) else np.nan
    holds = _holds(limit, worst) if len(found) else None
    named = {"gauge": limit.gauge, "limit": limit.text(), "source": limit.source}
    bound = {"allowed": limit.allowed, "unit": unit(limit, runs)}
    return {**named, "holds": holds, "worst": worst, **bound}


def unit(limit: Limit, runs: list[Capture]) -> str:
    """Return the unit of a limit's readings."""
    if limit.gauge in _SECONDS:
        return "s"
    known = gauges_of(runs)
    return known[limit.gauge].unit if limit.gauge in known else ""


def readings(limit: Limit, run: Capture, whole: bool = False) -> np.ndarray:
    """Return the readings of one run that a limit speaks of.

    Parameters
    ----------
    limit : Limit
        The limit.
    run : Capture
        A run with the gauges.
    whole : bool
        All of them, also where the limit is on a quantile.

    Returns
    -------
    array, shape (readings,)
        Empty if there are none; a single one for a rate, a time, a fact or a last reading.
    """
    facts = {**run.manifest.facts, **_times(run)}
    if limit.gauge in facts:
        return _array(facts[limit.gauge])
    if limit.gauge not in run.trace:
        return np.empty(0)
    rows = run.trace[run.trace[limit.gauge].notna()]
    if limit.per_second is not None:
        return _array(_per_second(rows, limit.gauge))
    if limit.gauge in measures(run):
        rows = rows[(rows["phase"] == "steady") & (rows["moment"] == "step")]
    values = rows[limit.gauge].to_numpy(dtype=float)
    if limit.quantile is not None and len(values) and not whole:
        return _array(float(np.quantile(values, limit.quantile)))
    return values[-1:] if limit.at_end is not None else values


def measures(run: Capture) -> set[str]:
    """Return the names of the gauges that belong to single steps."""
    return {name for name, gauge in gauges_of([run]).items() if gauge.kind == "measure"}


def _times(run: Capture) -> dict[str, float | None]:
    lasted = {p.name: p.end_s - p.start_s for p in run.manifest.phases}
    return {"exit_s": run.exit.exit_s, "cleanup_s": lasted.get("teardown")}


def _array(value: float | None) -> np.ndarray:
    return np.array([np.nan if value is None else value], dtype=float)


def _per_second(rows: pd.DataFrame, gauge: str) -> float:
    steady = rows[rows["phase"] == "steady"]
    if len(steady) < 2:
        return np.nan
    ends = steady.iloc[[0, -1]]
    return float(np.diff(ends[gauge])[0] / np.diff(ends["t_s"])[0])


def _worst(limit: Limit, readings: np.ndarray) -> float:
    if limit.at_least is not None:
        return float(readings.min())
    if limit.at_end is not None:
        return float(readings[np.argmax(np.abs(readings - limit.at_end))])
    return float(readings.max())


def _holds(limit: Limit, worst: float) -> bool:
    if limit.at_least is not None:
        return worst >= limit.at_least
    if limit.at_end is not None:
        return worst == limit.at_end
    most = limit.at_most if limit.at_most is not None else limit.per_second
    return most is None or worst <= most
