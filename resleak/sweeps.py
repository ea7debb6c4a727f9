"""Hold costs that must not grow with what they are spent on against what was measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from resleak.declare import Sweep
from resleak.frames import Capture

#: Fewest different sizes that make a curve.
FEWEST_SIZES = 4
#: Resamplings of the runs and of each size's steps.
_RESAMPLED = 500
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
    declared = [Sweep(**one) for c in runs[:1] for one in c.manifest["scenario"]["sweeps"]]
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
    everything = np.concatenate(runs) if runs else np.empty((0, 2))
    sizes = np.unique(everything[:, 0])
    if len(sizes) < FEWEST_SIZES:
        nan = np.nan
        return _scaling(sweep, "inconclusive", (nan, nan, nan), nan, nan)
    costs = _medians(everything, sizes)
    exponent, drawn = _exponent(sweep, sizes, costs), _resampled(sweep, runs, sizes)
    low, high = (float(q) for q in np.quantile(drawn, [0.025, 0.975]))
    verdict = "scales" if low > sweep.at_most else "flat" if high < sweep.at_most else ""
    found = (exponent, min(low, exponent), max(high, exponent))
    return _scaling(sweep, verdict or "inconclusive", found, float(costs[0]), float(costs[-1]))


def _scaling(
    sweep: Sweep, verdict: str, found: tuple[float, float, float], first: float, last: float
) -> Scaling:
    return Scaling(sweep.gauge, sweep.over, verdict, *found, sweep.at_most, first, last)


def _medians(steps: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    return np.array([np.median(steps[steps[:, 0] == size, 1]) for size in sizes])


def _exponent(sweep: Sweep, sizes: np.ndarray, costs: np.ndarray) -> float:
    least = max(sweep.floor, np.finfo(float).tiny)
    slope = stats.theilslopes(np.log(np.maximum(costs, least)), np.log(sizes))[0]
    return float(slope)


def _resampled(sweep: Sweep, runs: list[np.ndarray], sizes: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    groups = [[run[run[:, 0] == size, 1] for size in sizes] for run in runs if len(run)]

    def drawn() -> float:
        chosen = rng.integers(len(groups), size=len(groups))
        costs = [_drawn_median(rng, [groups[k][n] for k in chosen]) for n in range(len(sizes))]
        known = ~np.isnan(costs)
        return _exponent(sweep, sizes[known], np.array(costs)[known])

    return np.array([drawn() for _ in range(_RESAMPLED)])


def _drawn_median(rng: np.random.Generator, parts: list[np.ndarray]) -> float:
    values: Any = np.concatenate(parts)
    return float(np.median(rng.choice(values, len(values)))) if len(values) else np.nan
