"""Hold costs that must not grow with what they are spent on against what was measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from resleak.analysis import statistics
from resleak.captures.frames import Capture
from resleak.workload.scenario import Sweep

#: Fewest different sizes that make a curve.
FEWEST_SIZES = 4
#: Resamplings of the runs and of each size's steps.
_RESAMPLED = 1000
_COLUMNS = ["gauge", "over", "verdict", "exponent", "low", "high", "at_most", "smallest", "largest"]


@dataclass(frozen=True)
class Scaling:
    """The exponent of a cost over a size with its 95 % interval, and the cost at both ends."""

    gauge: str
    over: str
    verdict: str
    exponent: float
    low: float
    high: float
    at_most: float
    smallest: float
    largest: float


def check(captures: Iterable[Capture]) -> pd.DataFrame:
    """Judge every declared sweep over all runs of one variant.

    Parameters
    ----------
    captures : iterable of Capture
        The runs of one variant with the gauges.

    Returns
    -------
    DataFrame
        One row a sweep: ``gauge over verdict exponent low high at_most smallest largest``. The
        verdict is ``scales``, ``flat`` or ``inconclusive``; `smallest` and `largest` are the costs
        at the smallest and the largest size.
    """
    runs = [c for c in captures if c.instrument == "gauges"]
    declared = [sweep for c in runs[:1] for sweep in c.manifest.scenario.sweeps]
    rows = [asdict(judge(sweep, [points(sweep, run) for run in runs])) for sweep in declared]
    return pd.DataFrame(rows, columns=_COLUMNS)


def points(sweep: Sweep, run: Capture) -> np.ndarray:
    """Return size and cost of every steady step of a run, shape (steps, 2)."""
    trace = run.trace
    if not {sweep.over, sweep.gauge} <= set(trace.columns):
        return np.empty((0, 2))
    steps = trace[(trace["phase"] == "steady") & (trace["moment"] == "step")]
    found = steps[[sweep.over, sweep.gauge]].dropna().to_numpy(dtype=float)
    return found[found[:, 0] > 0]


def judge(sweep: Sweep, runs: list[np.ndarray]) -> Scaling:
    """Judge one sweep.

    Parameters
    ----------
    sweep : Sweep
        What must not grow, and with what.
    runs : list of array, shape (steps, 2)
        Size and cost of each step, a list item a run.

    Returns
    -------
    Scaling
        ``scales`` if the whole interval of the exponent is above the sweep's `at_most`, ``flat``
        if it is below.

    Notes
    -----
    The exponent is the Theil-Sen slope through the median cost at each size, both as logarithms;
    the interval resamples runs, and steps within each size.
    """
    runs = [run for run in runs if len(run)]
    sizes = _sizes(runs)
    if len(sizes) < FEWEST_SIZES:
        nan = np.nan
        return _scaling(sweep, "inconclusive", (nan, nan, nan), (nan, nan))
    by_run = np.array([[np.median(run[run[:, 0] == s, 1]) for s in sizes] for run in runs])
    costs = np.median(by_run, axis=0)
    exponent = float(_exponents(sweep, sizes, costs[None])[0])
    drawn = _exponents(sweep, sizes, _resampled(runs, sizes))
    low, high = (float(q) for q in np.quantile(drawn, [0.025, 0.975]))
    verdict = "scales" if low > sweep.at_most else "flat" if high < sweep.at_most else ""
    found = (exponent, min(low, exponent), max(high, exponent))
    return _scaling(sweep, verdict or "inconclusive", found, (float(costs[0]), float(costs[-1])))


def _sizes(runs: list[np.ndarray]) -> np.ndarray:
    """Return the sizes that every run has taken."""
    each = [set(run[:, 0]) for run in runs]
    return np.array(sorted(set.intersection(*each))) if each else np.empty(0)


def _scaling(
    sweep: Sweep, verdict: str, found: tuple[float, float, float], ends: tuple[float, float]
) -> Scaling:
    return Scaling(sweep.gauge, sweep.over, verdict, *found, sweep.at_most, *ends)


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
