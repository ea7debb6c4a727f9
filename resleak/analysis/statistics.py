"""Rates of growth with their uncertainty: the libraries' statistics, applied to replicated runs.

Every function takes ``runs``, a list of arrays of shape (points, 2): step and value of one gauge in
one run, one point for each collection.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Runs = list[Points]

#: Fewest points a rate is computed from.
FEWEST = 6
_MOST = 40
_RESAMPLES = 400
_BLOCK = 3
#: From so many runs on, what they differ by is known well enough.
_ENOUGH_RUNS = 3
#: What a single line misses, as a share of the whole rise, for a split to be considered.
_BEND = 0.01
#: From so large a difference on the information criterion counts as very strong evidence.
_MARGIN = 10.0
#: What fills has bent when its last slope is less than this share of its first.
_BENT = 0.6


@dataclass(frozen=True)
class Rate:
    """A rate with its 95 % interval, in units per step.

    Attributes
    ----------
    value, low, high : float
        Estimate and interval.
    p : float
        One-sided probability of so steady a climb if there were none.
    freedom : int
        Degrees of freedom of the interval.
    """

    value: float
    low: float
    high: float
    p: float
    freedom: int = 1

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2

    def above(self, floor: float) -> float:
        """Return the one-sided probability of such a rate if the true one were only `floor`."""
        from scipy import stats

        if self.half_width == 0:
            return 0.0 if self.value > floor else 1.0
        error = self.half_width / stats.t.ppf(0.975, self.freedom)
        return float(stats.t.sf((self.value - floor) / error, self.freedom))


def load() -> None:
    """Import what the statistics need, so that the first verdict comes as fast as the others."""
    import ruptures  # noqa: F401
    from scipy import stats  # noqa: F401


def thin(points: Points, most: int = _MOST) -> Points:
    """Keep at most `most` points: the lowest of each group of neighbours.

    A collector's saw-tooth and a batch that waits for its flush show in the high points, what
    stays for good shows in the low ones.
    """
    if len(points) <= most:
        return points
    groups = np.array_split(points, most)
    return np.array([[g[:, 0].mean(), g[:, 1].min()] for g in groups])


def warmup_end(runs: Runs) -> float:
    """Return the step at which the steady part begins.

    The mean curve is split where two straight lines explain it far better than one and differ in
    slope. At least `FEWEST` points are left after the split.

    Returns
    -------
    float
        The step of the first point that counts; the first of all if no split is warranted.

    References
    ----------
    Truong, Oudre, Vayatis: Selective review of offline change point detection methods (2020), the
    linear model. Barrett et al.: Virtual machine warmup blows hot and cold (2017), on why a
    fixed number of dropped steps is wrong.
    """
    x, y = _mean_curve(runs)
    if len(x) < 2 * FEWEST or np.ptp(y) == 0:
        return float(x[0])
    scaled = (y - y.mean()) / np.ptp(y)
    design = np.column_stack([scaled, x / x[-1], np.ones_like(x)])
    import ruptures

    search = ruptures.Dynp(model="linear", min_size=3, jump=1).fit(design)
    split = search.predict(n_bkps=1)[0]
    one = search.cost.error(0, len(x))
    two = search.cost.error(0, split) + search.cost.error(split, len(x))
    worthwhile = one > _BEND**2 * len(x) and two < one / 4 and _differ(x, y, split)
    return float(x[min(split, len(x) - FEWEST)]) if worthwhile else float(x[0])


def _differ(x: Points, y: Points, split: int) -> bool:
    """Tell whether the parts and the whole differ in slope by more than a third."""
    parts = (slice(split), slice(split, None), slice(None))
    slopes = [_slope(np.column_stack([x[part], y[part]])) for part in parts]
    return min(slopes) < 2 / 3 * max(slopes)


def rate(runs: Runs, seed: int = 0) -> Rate:
    """Estimate the rate common to replicated runs.

    The estimate is the mean of the runs' Theil-Sen slopes. Half its interval is the larger of what
    the runs differ by (Student's interval; with fewer than three runs, of the halves of each) and
    of what the mean curve scatters by (blocks of its residuals resampled), for runs may all
    scatter alike; of a gauge that rests most of the time it is at least one of its jumps. The
    runs' Kendall tests are joined by Stouffer's method.

    Parameters
    ----------
    runs : list of array, shape (points, 2)
        At least `FEWEST` points each.
    seed : int
        Seed of the resampling.

    Returns
    -------
    Rate

    References
    ----------
    Sen: Estimates of the regression coefficient based on Kendall's tau (1968). Kuensch: The
    jackknife and the bootstrap for general stationary observations (1989).
    """
    found = slopes(runs)
    value = float(np.mean(found))
    sample = replicates(runs)
    scatter = _scatter(np.column_stack(_mean_curve(runs)), seed)
    half = max(student(sample), scatter, _jump(runs))
    return Rate(value, value - half, value + half, climb_p(runs), max(1, len(sample) - 1))


def replicates(runs: Runs) -> NDArray[np.float64]:
    """Return the rates whose scatter counts: of the runs or, of fewer than three, of their halves.

    Returns
    -------
    array, shape (runs,) or (2 runs,)
    """
    enough = len(runs) >= _ENOUGH_RUNS
    return slopes(runs if enough else [half for run in runs for half in halves(run)])


def student(sample: NDArray[np.float64]) -> float:
    """Return half of Student's 95 % interval of the mean of a sample; infinity of a single one."""
    from scipy import stats

    n = len(sample)
    if n < 2:
        return np.inf
    return float(stats.t.ppf(0.975, n - 1) * np.std(sample, ddof=1) / np.sqrt(n))


def halves(points: Points) -> tuple[Points, Points]:
    """Return the first and the second half of a run; the point between belongs to both."""
    middle = len(points) // 2 + 1
    return points[:middle], points[middle - 1 :]


def slopes(runs: Runs) -> NDArray[np.float64]:
    """Return the Theil-Sen slope of each run, shape (runs,)."""
    return np.array([_slope(points) for points in runs])


def climb_p(runs: Runs) -> float:
    """Return the one-sided probability of so steady a climb if there were none."""
    from scipy import stats

    found = [_kendall_p(points) for points in runs]
    clipped = np.clip(found, 1e-15, 1 - 1e-15)
    return float(stats.combine_pvalues(clipped, method="stouffer").pvalue)


def fading(runs: Runs) -> float:
    """Return the rate of the second half over that of the first, for the median run.

    A leak keeps up with the number of steps (about 1), a cache that fills fades (towards 0). One
    that starts late gives more than 1; infinity if the first half does not climb at all.
    """
    return float(np.median([_fading(points) for points in runs]))


def saturates(runs: Runs) -> bool:
    """Tell whether a curve that levels off explains the mean curve, and nothing else does better.

    By the Bayesian information criterion, by a margin of 10: the curve is better than a straight
    line, has bent noticeably by the last step, and is not made better by a climb beside it, as that
    of a leak during a warm-up would be.

    References
    ----------
    Kass, Raftery: Bayes factors (1995), on the margin of 10.
    """
    x, y = _mean_curve(runs)
    if np.ptp(y) == 0 or len(x) < 2 * FEWEST:
        return False
    t, v = (x - x[0]) / np.ptp(x), (y - y[0]) / np.ptp(y)
    filling, tau = _best_bend(t, v)
    leaking_too, _ = _best_bend(t, v, t)
    bent = np.exp(-1 / tau) < _BENT
    return bool(
        bent
        and _gain(_squares(v, t), filling, len(t)) > _MARGIN
        and _gain(filling, leaking_too, len(t)) <= _MARGIN
    )


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjust probabilities for the number of gauges looked at.

    References
    ----------
    Holm: A simple sequentially rejective multiple test procedure (1979).
    """
    order = np.argsort(p)
    factors = len(p) - np.arange(len(p))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted


def _mean_curve(runs: Runs) -> tuple[Points, Points]:
    length = min(len(points) for points in runs)
    stacked = np.stack([points[:length] for points in runs])
    return stacked[0, :, 0], stacked[:, :, 1].mean(axis=0)


def _slope(points: Points) -> float:
    return float(theil_sen(points[:, 0], points[None, :, 1])[0])


def _fading(points: Points) -> float:
    first, second = (_slope(half) for half in halves(points))
    if first <= 0:
        return np.inf if second > 0 else 1.0
    return second / first


def _kendall_p(points: Points) -> float:
    if np.ptp(points[:, 1]) == 0:
        return 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        from scipy import stats

        p = stats.kendalltau(points[:, 0], points[:, 1], alternative="greater").pvalue
    return 1.0 if np.isnan(p) else float(p)


def _scatter(points: Points, seed: int) -> float:
    """Return half the 95 % interval of a curve's slope, from blocks of its residuals."""
    x, y = points[:, 0], points[:, 1]
    residuals = y - _slope(points) * x
    residuals = residuals - np.median(residuals)
    if not residuals.any():
        return 0.0
    rng, n = np.random.default_rng(seed), len(x)
    starts = rng.integers(n - _BLOCK + 1, size=(_RESAMPLES, -(-n // _BLOCK)))
    index = (starts[:, :, None] + np.arange(_BLOCK)).reshape(_RESAMPLES, -1)[:, :n]
    low, high = np.quantile(theil_sen(x, residuals[index]), [0.025, 0.975])
    return float(high - low) / 2


def _jump(runs: Runs) -> float:
    """Return what one jump would change the rate by, if the gauge rests most of the time."""
    rises = np.concatenate([np.diff(points[:, 1]) for points in runs])
    rare = 0 < np.count_nonzero(rises) < len(rises) / 2
    span = min(np.ptp(points[:, 0]) for points in runs)
    return float(np.median(np.abs(rises[rises != 0])) / span) if rare else 0.0


def theil_sen(x: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Theil-Sen slope of many curves over the same `x`, shape (rows,)."""
    first, second = np.triu_indices(len(x), k=1)
    slopes = (rows[:, second] - rows[:, first]) / (x[second] - x[first])
    return np.asarray(np.median(slopes, axis=1))


def _best_bend(t: Points, values: Points, *beside: Points) -> tuple[float, float]:
    """Fit ``1 - exp(-t / tau)``, and shapes beside it: the squares that are left, and tau."""
    from scipy.optimize import minimize_scalar

    def left(log_tau: float) -> float:
        return _squares(values, 1 - np.exp(-t / np.exp(log_tau)), *beside)

    grid = np.log(np.geomspace(0.03, 2.0, 24))
    at = int(np.argmin([left(log_tau) for log_tau in grid]))
    bounds = grid[max(0, at - 1)], grid[min(len(grid) - 1, at + 1)]
    found = minimize_scalar(left, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(found.fun), float(np.exp(found.x))


def _gain(simple: float, better: float, points: int) -> float:
    """Return by how much a fit with one parameter more is to be preferred."""
    return float(points * np.log((simple + 1e-12) / (better + 1e-12)) - np.log(points))


def _squares(values: Points, *shapes: Points) -> float:
    """Return the squares that are left of a fit by shapes of which none falls."""
    from scipy.optimize import nnls

    design = np.column_stack([shape - shape.mean() for shape in shapes])
    return float(nnls(design, values - values.mean())[1] ** 2)
