"""Check what a scenario declares: limits, and costs that must not grow with their size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from resleak.analysis import statistics
from resleak.analysis.rows import Rows
from resleak.captures.frames import Capture, gauges_of
from resleak.workload.scenario import Limit, Sweep
from resleak.workload.verdict_words import SCALES, UNDECIDED

_SECONDS = ("exit_s", "cleanup_s", "cpu_s")
#: Fewest different sizes that make a curve.
_FEWEST_SIZES = 4
#: Resamplings of the runs and of each size's steps.
_RESAMPLED = 1000


@dataclass(frozen=True)
class LimitVerdict:
    """One declared limit over all runs of a variant; `holds` is None if nothing was measured."""

    gauge: str
    limit: str
    holds: bool | None
    worst: float
    allowed: float
    unit: str = ""
    source: str = ""


@dataclass(frozen=True)
class Scaling:
    """The exponent of a cost over a size, with its 95 % CI, and the costs at both ends."""

    gauge: str
    over: str
    verdict: str
    exponent: float
    low: float
    high: float
    at_most: float
    smallest: float
    largest: float


def check(runs: Sequence[Capture]) -> Rows[LimitVerdict]:
    """Check every declared limit over all runs of one variant with the gauges."""
    rows = []
    for limit in runs[0].manifest.scenario.limits:
        values = np.concatenate([readings(limit, run) for run in runs])
        values = values[~np.isnan(values)]
        worst, holds = _worst(limit, values) if len(values) else (np.nan, None)
        about = limit.gauge, limit.text(), holds, worst, limit.allowed, unit(limit, runs)
        rows.append(LimitVerdict(*about, limit.source))
    return Rows(LimitVerdict, rows)


def unit(limit: Limit, runs: Sequence[Capture]) -> str:
    """Return the unit of a limit's readings."""
    if limit.gauge in _SECONDS:
        return "s"
    known = gauges_of(runs)
    return known[limit.gauge].unit if limit.gauge in known else ""


def readings(limit: Limit, run: Capture, whole: bool = False) -> np.ndarray:
    """Return the readings of one run that a limit is about, shape (readings,)."""
    # A single one for a rate, a time, a fact or a last reading. With `whole`, all of them also
    # where the limit is on a quantile.
    lasted = {p.name: p.end_s - p.start_s for p in run.manifest.phases}
    times = {"exit_s": run.exit.exit_s, "cleanup_s": lasted.get("teardown")}
    facts: dict[str, float | None] = {**run.manifest.facts, **times}
    if limit.gauge in facts:
        return np.array([facts[limit.gauge]], dtype=float)  # None becomes NaN
    if limit.gauge not in run.trace:
        return np.empty(0)
    rows = run.trace[run.trace[limit.gauge].notna()]
    if limit.per_second is not None:
        steady = rows.loc[rows["phase"] == "steady", [limit.gauge, "t_s"]].to_numpy(dtype=float)
        if len(steady) < 2:
            return np.array([np.nan])
        rise, seconds = steady[-1] - steady[0]
        return np.array([rise / seconds])
    if limit.gauge in {g.name for g in gauges_of([run]).values() if g.kind == "measure"}:
        rows = rows[(rows["phase"] == "steady") & (rows["moment"] == "step")]
    values = rows[limit.gauge].to_numpy(dtype=float)
    if limit.quantile is not None and len(values) and not whole:
        return np.array([np.quantile(values, limit.quantile)])
    return values[-1:] if limit.at_end is not None else values


def _worst(limit: Limit, values: np.ndarray) -> tuple[float, bool]:
    """Return the reading that comes closest to breaking a limit, and whether the limit holds."""
    if limit.at_least is not None:
        return float(values.min()), bool(values.min() >= limit.at_least)
    if limit.at_end is not None:
        worst = float(values[np.argmax(np.abs(values - limit.at_end))])
        return worst, worst == limit.at_end
    return float(values.max()), bool(values.max() <= limit.allowed)


def check_sweeps(runs: Sequence[Capture]) -> Rows[Scaling]:
    """Judge every declared sweep over all runs of one variant with the gauges."""
    sweeps = runs[0].manifest.scenario.sweeps
    return Rows(Scaling, (judge_sweep(s, [sweep_points(s, run) for run in runs]) for s in sweeps))


def sweep_points(sweep: Sweep, run: Capture) -> np.ndarray:
    """Return size and cost of every steady step of a run, shape (steps, 2)."""
    trace = run.trace
    if not {sweep.over, sweep.gauge} <= set(trace.columns):
        return np.empty((0, 2))
    steps = trace[(trace["phase"] == "steady") & (trace["moment"] == "step")]
    pairs = steps[[sweep.over, sweep.gauge]].dropna().to_numpy(dtype=float)
    return pairs[pairs[:, 0] > 0]


def judge_sweep(sweep: Sweep, runs: list[np.ndarray]) -> Scaling:
    """Judge one sweep from sizes and costs of each run, shape (steps, 2)."""
    # It scales if the whole CI of the exponent is above `at_most`, and is flat if it is below. The
    # exponent is the Theil-Sen slope through the median cost at each size, both as logarithms; the
    # CI resamples runs, and steps within each size.
    runs = [run for run in runs if len(run)]
    each = [set(run[:, 0]) for run in runs]
    sizes = np.array(sorted(set.intersection(*each))) if each else np.empty(0)
    if len(sizes) < _FEWEST_SIZES:
        nan = np.nan
        return Scaling(sweep.gauge, sweep.over, UNDECIDED, nan, nan, nan, sweep.at_most, nan, nan)
    by_run = np.array([[np.median(run[run[:, 0] == s, 1]) for s in sizes] for run in runs])
    costs = np.median(by_run, axis=0)
    exponent = float(_exponents(sweep, sizes, costs[None])[0])
    resampled = _exponents(sweep, sizes, _resampled(runs, sizes))
    low, high = (float(q) for q in np.quantile(resampled, [0.025, 0.975]))
    verdict = SCALES if low > sweep.at_most else "flat" if high < sweep.at_most else UNDECIDED
    low, high = min(low, exponent), max(high, exponent)
    ends = float(costs[0]), float(costs[-1])
    return Scaling(sweep.gauge, sweep.over, verdict, exponent, low, high, sweep.at_most, *ends)


def _exponents(sweep: Sweep, sizes: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Return the Theil-Sen slope of each row of costs, shape (rows,)."""
    x, y = np.log(sizes), np.log(np.maximum(costs, max(sweep.floor, np.finfo(float).tiny)))
    return statistics.theil_sen(x, y)


def _resampled(runs: list[np.ndarray], sizes: np.ndarray) -> np.ndarray:
    """Return median costs of resampled steps in resampled runs, shape (resamplings, sizes)."""
    rng = np.random.default_rng(0)

    def medians(run: np.ndarray, size: float) -> np.ndarray:
        costs = run[run[:, 0] == size, 1]
        drawn = rng.choice(costs, (_RESAMPLED, len(costs)))
        return np.asarray(np.median(drawn, axis=1))

    by_run = np.array([[medians(run, size) for size in sizes] for run in runs])
    chosen = rng.integers(len(runs), size=(len(runs), _RESAMPLED))
    return np.asarray(np.median(by_run[chosen, :, np.arange(_RESAMPLED)], axis=0))
