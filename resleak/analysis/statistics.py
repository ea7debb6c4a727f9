"""Growth-rate estimates with confidence intervals over replicated runs.

``runs`` is a list of arrays of shape (points, 2): step and value of one gauge in one run, one point
per collection.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Points = Floats
Runs = list[Points]

#: Fewest points of a rate, and most points that a curve is thinned to.
FEWEST, MOST = 6, 40
#: Block bootstrap of residuals: resamples, and points per block.
_RESAMPLES, _BLOCK = 400, 3
#: Runs from which on their scatter gives the interval; below, their autocorrelation does.
ENOUGH_RUNS = 3
#: Smallest RMS residual of one line, as a share of the whole rise, to look for a changepoint.
_MIN_RESIDUAL = 0.01
#: Bandwidth of the long-run variance of a single run, as a share of its points.
_BANDWIDTH = 0.3
#: The 97.5 % quantile at this bandwidth (a cubic fit by its authors), and the degrees of freedom at
#: which Student's is as large.
_CRITICAL = 1.96 + 2.9694 * _BANDWIDTH + 0.416 * _BANDWIDTH**2 - 0.5324 * _BANDWIDTH**3
FREEDOM = 4.6
#: Pairs of terms of the continued fraction: enough for 10,000 degrees of freedom.
_TERMS = 100
#: Steps of Newton's method, far more than it takes, and where one changes nothing.
_MOST_STEPS, _NEGLIGIBLE = 100, 1e-14
#: Most points up to which Kendall's test counts all orders.
_EXACT = 33


@dataclass(frozen=True)
class Rate:
    """A growth rate per step, its 95 % CI, and the one-sided probability of it by chance."""

    value: float
    low: float
    high: float
    p: float
    freedom: float = 1

    @property
    def half_width(self) -> float:
        """Half the width of the CI."""
        return (self.high - self.low) / 2

    def strictness(self, alpha: float) -> float:
        """Return how much further the one-sided interval at `alpha` reaches than half this one."""
        quantile = student_quantile
        return float(quantile(self.freedom, 1 - alpha) / quantile(self.freedom, 0.975))

    def p_above(self, floor: float) -> float:
        """Return the one-sided p-value of the rate being above `floor`."""
        if self.half_width == 0:
            return 0.0 if self.value > floor else 1.0
        error = self.half_width / student_quantile(self.freedom, 0.975)
        return float(student_below(self.freedom, (floor - self.value) / error))


def thin(points: Points) -> Points:
    """Return at most `MOST` points: the lowest of each group of neighbours."""
    if len(points) <= MOST:
        return points
    # Garbage and unflushed batches show in the high points, retained values in the low ones.
    size, more = divmod(len(points), MOST)
    begins = np.arange(MOST) * size + np.minimum(np.arange(MOST), more)
    gaps = np.diff(points[:, 0])
    if gaps.max() > 1.9 * gaps.min():  # a run that went on has larger blocks later
        edges = np.linspace(points[0, 0], points[-1, 0], MOST + 1)[1:-1]
        begins = np.unique([0, *np.searchsorted(points[:, 0], edges, side="right")])
    counts = np.diff(begins, append=len(points))
    x, y = points.T
    return np.column_stack([np.add.reduceat(x, begins) / counts, np.minimum.reduceat(y, begins)])


def warmup_end(runs: Runs) -> float:
    """Return the step at which the steady state begins: the changepoint of the mean curve."""
    # Truong, Oudre, Vayatis: Selective review of offline change point detection methods (2020), the
    # linear model. Barrett et al.: Virtual machine warmup blows hot and cold (2017), on why a fixed
    # number of dropped steps is wrong.
    x, y = mean_curve(runs)
    if len(x) < 2 * FEWEST or np.ptp(y) == 0:
        return float(x[0])
    scaled = (y - y.mean()) / np.ptp(y)
    before = _line_errors(x / x[-1], scaled)
    after = _line_errors(x[::-1] / x[-1], scaled[::-1])[::-1]
    ends = np.arange(3, len(x) - 2)
    both = before[ends - 1] + after[ends]
    one, two, split = before[-1], both.min(), int(ends[both.argmin()])
    is_better = one > _MIN_RESIDUAL**2 * len(x) and two < one / 4
    if is_better:  # the slopes of both parts and of the whole must differ by more than a third
        parts = (slice(split), slice(split, None), slice(None))
        slopes = [_slope(np.column_stack([x[part], y[part]])) for part in parts]
        is_better = min(slopes) < 2 / 3 * max(slopes)
    return float(x[min(split, len(x) - FEWEST)]) if is_better else float(x[0])


def _line_errors(x: Points, y: Points) -> Points:
    """Return the residual sum of squares of a line through the first 1, 2, 3 ... points."""
    n, x, y = np.arange(1, len(x) + 1), x - x[0], y - y[0]
    mean_x, mean_y = x.cumsum() / n, y.cumsum() / n
    squares = (x * x).cumsum() - n * mean_x**2
    shared = (x * y).cumsum() - n * mean_x * mean_y
    squares[0] = np.inf  # a single point has no slope
    return np.asarray((y * y).cumsum() - n * mean_y**2 - shared**2 / squares)


def rate(runs: Runs) -> Rate:
    """Return the mean of the Theil-Sen slopes of runs of at least `FEWEST` points."""
    # Sen: Estimates of the regression coefficient based on Kendall's tau (1968).
    sample = slopes(runs)
    value = float(np.mean(sample))
    if len(runs) < ENOUGH_RUNS:  # from the autocorrelation within each run
        widths = [slope_beside(points)[1] for points in runs]
        half, freedom = float(np.sqrt(np.sum(np.square(widths))) / len(runs)), FREEDOM
    else:
        freedom = len(sample) - 1
        quantile = float(student_quantile(freedom, 0.975))
        half = quantile * standard_error(sample)
    # Runs may all scatter alike, and a gauge may rest most of the time.
    scatter = _bootstrap_half_width(np.column_stack(mean_curve(runs)))
    half = max(half, scatter, _jump(runs))
    return Rate(value, value - half, value + half, climb_p(runs), freedom)


def slope_beside(points: Points, beside: Floats | None = None) -> tuple[float, float]:
    """Return the least-squares slope beside other shapes, and half of its 95 % CI."""
    # Newey-West errors (Bartlett kernel), whose bandwidth is a fixed share of the points. Kiefer,
    # Vogelsang: A new asymptotic theory for heteroskedasticity-autocorrelation robust tests (2005).
    others = np.ones((len(points), 1))
    if beside is not None:
        others = np.hstack([others, beside])
    x, y = (points - others @ np.linalg.lstsq(others, points, rcond=None)[0]).T
    squares = float(x @ x)
    slope = float(x @ y) / squares
    scores = x * (y - x * slope)
    reach = max(1, int(np.ceil(_BANDWIDTH * len(x))))
    total = float(scores @ scores)
    for lag in range(1, reach):
        total += 2 * (1 - lag / reach) * float(scores[lag:] @ scores[:-lag])
    freedom = max(1, len(x) - 1 - others.shape[1])
    return slope, float(_CRITICAL * np.sqrt(max(total, 0.0) * len(x) / freedom) / squares)


def replicates(runs: Runs) -> Floats:
    """Return the slopes of the runs, or of their halves if there are fewer than three."""
    enough = len(runs) >= ENOUGH_RUNS
    return slopes(runs if enough else [half for run in runs for half in halves(run)])


def halves(points: Points) -> tuple[Points, Points]:
    """Return both halves of a run; the middle point belongs to both."""
    middle = len(points) // 2 + 1
    return points[:middle], points[middle - 1 :]


def span(runs: Runs) -> float:
    """Return the steps of the median run."""
    return float(np.median([np.ptp(points[:, 0]) for points in runs]))


def slopes(runs: Runs) -> Floats:
    """Return the Theil-Sen slope of each run, shape (runs,)."""
    return np.array([_slope(points) for points in runs])


def climb_p(runs: Runs) -> float:
    """Return the one-sided p-value of an upward trend: Kendall's tests, joined by Stouffer."""
    clipped = np.clip([_kendall_p(points[:, 1]) for points in runs], 1e-15, 1 - 1e-15)
    scores = [NormalDist().inv_cdf(p) for p in clipped]
    return _normal_cdf(sum(scores) / math.sqrt(len(scores)))


def _kendall_p(y: Floats) -> float:
    """Return the one-sided p-value of Kendall's test of values in their order for a rise."""
    # Kendall: Rank Correlation Methods (1970). scipy.stats has it, too, but takes long to load.
    n, pairs = len(y), len(y) * (len(y) - 1) // 2
    signs = np.sign(y[:, None] - y)[np.tril_indices(n, k=-1)]
    falls = int(np.count_nonzero(signs < 0))
    counts = np.unique(y, return_counts=True)[1]
    if len(counts) == n and (n <= _EXACT or min(falls, pairs - falls) <= 1):
        return float(_falls(n)[: falls + 1].sum())
    ties = float(np.sum(counts * (counts - 1) * (2 * counts + 5)))
    deviation = math.sqrt((n * (n - 1) * (2 * n + 5) - ties) / 18)
    return _normal_cdf(-float(signs.sum()) / deviation) if deviation else 1.0


@cache
def _falls(n: int) -> Floats:
    """Return the probability of 0, 1, 2 ... falling pairs among n values in random order."""
    probabilities = np.ones(1)
    for length in range(2, n + 1):
        probabilities = np.convolve(probabilities, np.full(length, 1 / length))
    return probabilities


def _normal_cdf(z: float) -> float:
    return math.erfc(-z / math.sqrt(2)) / 2


def holm(p: Floats) -> Floats:
    """Return p-values adjusted for the number of gauges."""
    # Holm: A simple sequentially rejective multiple test procedure (1979).
    order = np.argsort(p)
    factors = len(p) - np.arange(len(p))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted


def mean_curve(runs: Runs) -> tuple[Points, Points]:
    """Return steps and mean values of the points that all runs have."""
    length = min(len(points) for points in runs)
    stacked = np.stack([points[:length] for points in runs])
    return stacked[0, :, 0], stacked[:, :, 1].mean(axis=0)


def _slope(points: Points) -> float:
    return float(theil_sen(points[:, 0], points[None, :, 1])[0])


def _bootstrap_half_width(points: Points) -> float:
    """Return half the 95 % CI of a curve's slope, from resampled blocks of its residuals."""
    # Kuensch: The jackknife and the bootstrap for general stationary observations (1989).
    x, y = points[:, 0], points[:, 1]
    residuals = y - _slope(points) * x
    residuals = residuals - np.median(residuals)
    if not residuals.any():
        return 0.0
    rng, n = np.random.default_rng(0), len(x)
    starts = rng.integers(n - _BLOCK + 1, size=(_RESAMPLES, -(-n // _BLOCK)))
    index = (starts[:, :, None] + np.arange(_BLOCK)).reshape(_RESAMPLES, -1)[:, :n]
    low, high = np.quantile(theil_sen(x, residuals[index]), [0.025, 0.975])
    return float(high - low) / 2


def _jump(runs: Runs) -> float:
    """Return the rate of one jump over the run, if the gauge rests most of the time."""
    rises = np.concatenate([np.diff(points[:, 1]) for points in runs])
    rare = 0 < np.count_nonzero(rises) < len(rises) / 2
    span = min(np.ptp(points[:, 0]) for points in runs)
    return float(np.median(np.abs(rises[rises != 0])) / span) if rare else 0.0


def theil_sen(x: Floats, rows: Floats) -> Floats:
    """Return the Theil-Sen slope of many curves over the same `x`, shape (rows,)."""
    first, second = np.triu_indices(len(x), k=1)
    slopes = (rows[:, second] - rows[:, first]) / (x[second] - x[first])
    middle = [(slopes.shape[1] - 1) // 2, slopes.shape[1] // 2]
    slopes.partition(middle, axis=1)  # as `np.median`, in half its time
    return np.asarray(slopes[:, middle].mean(axis=1))


def student_quantile(freedom: Any, level: float) -> Any:
    """Return Student's quantile; for arrays of degrees of freedom, an array."""
    # A verdict needs it alone; scipy, which has it too, takes longer to load than a verdict takes.
    if np.ndim(freedom) == 0:
        return _quantile(float(freedom), float(level))
    from scipy.special import stdtrit

    return stdtrit(freedom, level)


@cache
def _quantile(freedom: float, level: float) -> float:
    if level <= 0.5:
        return -_quantile(freedom, 1 - level) if level < 0.5 else 0.0
    # Newton's method, from the normal quantile, which is smaller: it cannot overshoot from there.
    scale = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
    t = NormalDist().inv_cdf(level)
    for _ in range(_MOST_STEPS):
        shape = math.log1p(t * t / freedom) * (freedom + 1) / 2
        density = math.exp(scale - shape) / math.sqrt(freedom * math.pi)
        step = (level - student_below(freedom, t)) / density
        t += step
        if abs(step) < _NEGLIGIBLE * t:
            break
    return t


def student_below(freedom: float, t: float) -> float:
    """Return the probability that Student's t is below a number."""
    # Abramowitz, Stegun: Handbook of Mathematical Functions (1964), 26.5.27.
    beyond = _beta(freedom / 2, 0.5, freedom / (freedom + t * t)) / 2
    return beyond if t < 0 else 1 - beyond


def _beta(a: float, b: float, x: float) -> float:
    """Return the regularized incomplete beta function, by its continued fraction (26.5.8)."""
    if x in (0, 1):
        return x
    if x > (a + 1) / (a + b + 2):  # it converges slowly there
        return 1 - _beta(b, a, 1 - x)
    fraction = 1.0
    for m in range(_TERMS, 0, -1):
        middle = a + 2 * m
        fraction = 1 - (a + m) * (a + b + m) * x / (middle * (middle + 1) * fraction)
        fraction = 1 + m * (b - m) * x / (middle * (middle - 1) * fraction)
    fraction = 1 - (a + b) * x / ((a + 1) * fraction)
    logarithm = a * math.log(x) + b * math.log1p(-x) - math.log(a * fraction)
    return math.exp(logarithm + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b))


def standard_error(sample: Floats) -> float:
    """Return the standard error of a sample's mean."""
    return float(np.std(sample, ddof=1) / np.sqrt(len(sample)))


def welch_half_widths(old: Floats, new: Floats) -> Floats:
    """Return half of Welch's 95 % CI of the difference of two means, for each row."""
    counts = np.array([[old.shape[1]], [new.shape[1]]])
    if counts.min() < 2:
        return np.full(len(old), np.nan)
    parts = np.array([side.var(axis=1, ddof=1) for side in (old, new)]) / counts
    variance = parts.sum(axis=0)
    with np.errstate(invalid="ignore"):  # neither side varies: the difference is exact
        freedom = np.nan_to_num(variance**2 / (parts**2 / (counts - 1)).sum(axis=0), nan=1.0)
    return np.asarray(student_quantile(freedom, 0.975) * np.sqrt(variance))
