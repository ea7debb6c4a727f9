"""Check costs that must not grow with the size of the work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from resleak.analysis import statistics
from resleak.analysis.rows import Rows
from resleak.captures.frames import Capture
from resleak.workload.scenario import Sweep
from resleak.workload.verdict_words import SCALES, UNDECIDED

#: Fewest different sizes that make a curve.
FEWEST_SIZES = 4
#: Resamplings of the runs and of each size's steps.
_RESAMPLED = 1000


@dataclass(frozen=True)
class Scaling:
    """The exponent of a cost over a size, with its 95 % CI: ``scales``, ``flat``, ``inconclusive``.

    `smallest` and `largest` are the costs at both ends of the sizes.
    """

    gauge: str
    over: str
    verdict: str
    exponent: float
    low: float
    high: float
    at_most: float
    smallest: float
    largest: float


def check(captures: Iterable[Capture]) -> Rows[Scaling]:
    """Judge every declared sweep over all runs of one variant."""
    runs = [c for c in captures if c.instrument == "gauges"]
    declared = [sweep for c in runs[:1] for sweep in c.manifest.scenario.sweeps]
    return Rows(Scaling, (judge(sweep, [points(sweep, run) for run in runs]) for sweep in declared))


def points(sweep: Sweep, run: Capture) -> np.ndarray:
    """Return size and cost of every steady step of a run, shape (steps, 2)."""
    trace = run.trace
    if not {sweep.over, sweep.gauge} <= set(trace.columns):
        return np.empty((0, 2))
    steps = trace[(trace["phase"] == "steady") & (trace["moment"] == "step")]
    pairs = steps[[sweep.over, sweep.gauge]].dropna().to_numpy(dtype=float)
    return pairs[pairs[:, 0] > 0]


def judge(sweep: Sweep, runs: list[np.ndarray]) -> Scaling:
    """Judge one sweep from sizes and costs of each run, shape (steps, 2)."""
    # It scales if the whole CI of the exponent is above `at_most`, and is flat if it is below. The
    # exponent is the Theil-Sen slope through the median cost at each size, both as logarithms; the
    # CI resamples runs, and steps within each size.
    runs = [run for run in runs if len(run)]
    each = [set(run[:, 0]) for run in runs]
    sizes = np.array(sorted(set.intersection(*each))) if each else np.empty(0)
    if len(sizes) < FEWEST_SIZES:
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
