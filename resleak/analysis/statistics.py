"""Growth-rate estimates with confidence intervals over replicated runs.

``runs`` is a list of arrays of shape (points, 2): step and value of one gauge in one run, one point
per collection.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from resleak.analysis import intervals

Points = NDArray[np.float64]
Runs = list[Points]

#: Fewest points of a rate, and most points that a curve is thinned to.
FEWEST, _MOST = 6, 40
#: Block bootstrap of residuals: resamples, and points per block.
_RESAMPLES, _BLOCK = 400, 3
#: Runs from which on their scatter gives the interval; below, their autocorrelation does.
ENOUGH_RUNS = 3
#: Smallest RMS residual of one line, as a share of the whole rise, to look for a changepoint.
_MIN_RESIDUAL = 0.01
#: Difference of the Bayesian information criterion that is very strong evidence.
MIN_BIC_DIFFERENCE = 10.0
#: Bandwidth of the long-run variance of a single run, as a share of its points.
_BANDWIDTH = 0.3
#: The 97.5 % quantile at this bandwidth (a cubic fit by its authors), and the degrees of freedom at
#: which Student's is as large.
_CRITICAL = 1.96 + 2.9694 * _BANDWIDTH + 0.416 * _BANDWIDTH**2 - 0.5324 * _BANDWIDTH**3
FREEDOM = 4.6
#: Most points up to which Kendall's test counts all orders.
_EXACT = 33
#: Time constants of a saturation, as shares of the span, and the precision of their logarithm.
_TAUS, _GRID, _PRECISION = (0.03, 2.0), 24, 1e-6
#: Slope ratio (last / first) below which a filling curve has bent.
_MAX_SLOPE_RATIO = 0.6


@dataclass(frozen=True)
class Rate:
    """A growth rate with its 95 % CI, in units per step.

    `p` is the one-sided probability of such a trend by chance.
    """

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
        quantile = intervals.student_quantile
        return float(quantile(self.freedom, 1 - alpha) / quantile(self.freedom, 0.975))

    def p_above(self, floor: float) -> float:
        """Return the one-sided p-value of the rate being above `floor`."""
        if self.half_width == 0:
            return 0.0 if self.value > floor else 1.0
        error = self.half_width / intervals.student_quantile(self.freedom, 0.975)
        return float(intervals.student_below(self.freedom, (floor - self.value) / error))


def thin(points: Points) -> Points:
    """Return at most `_MOST` points: the lowest of each group of neighbours."""
    if len(points) <= _MOST:
        return points
    # Garbage and unflushed batches show in the high points, retained values in the low ones.
    size, more = divmod(len(points), _MOST)
    begins = np.arange(_MOST) * size + np.minimum(np.arange(_MOST), more)
    gaps = np.diff(points[:, 0])
    if gaps.max() > 1.9 * gaps.min():  # a run that went on has larger blocks later
        edges = np.linspace(points[0, 0], points[-1, 0], _MOST + 1)[1:-1]
        begins = np.unique([0, *np.searchsorted(points[:, 0], edges, side="right")])
    counts = np.diff(begins, append=len(points))
    x, y = points.T
    return np.column_stack([np.add.reduceat(x, begins) / counts, np.minimum.reduceat(y, begins)])


def warmup_end(runs: Runs) -> float:
    """Return the step at which the steady state begins: the changepoint of the mean curve."""
    # Truong, Oudre, Vayatis: Selective review of offline change point detection methods (2020), the
    # linear model. Barrett et al.: Virtual machine warmup blows hot and cold (2017), on why a fixed
    # number of dropped steps is wrong.
    x, y = _mean_curve(runs)
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
        quantile = float(intervals.student_quantile(freedom, 0.975))
        half = quantile * intervals.standard_error(sample)
    # Runs may all scatter alike, and a gauge may rest most of the time.
    scatter = _bootstrap_half_width(np.column_stack(_mean_curve(runs)))
    half = max(half, scatter, _jump(runs))
    return Rate(value, value - half, value + half, climb_p(runs), freedom)


def slope_beside(points: Points, beside: NDArray[np.float64] | None = None) -> tuple[float, float]:
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


def replicates(runs: Runs) -> NDArray[np.float64]:
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


def slopes(runs: Runs) -> NDArray[np.float64]:
    """Return the Theil-Sen slope of each run, shape (runs,)."""
    return np.array([_slope(points) for points in runs])


def climb_p(runs: Runs) -> float:
    """Return the one-sided p-value of an upward trend: Kendall's tests, joined by Stouffer."""
    clipped = np.clip([_kendall_p(points[:, 1]) for points in runs], 1e-15, 1 - 1e-15)
    scores = [NormalDist().inv_cdf(p) for p in clipped]
    return _normal_cdf(sum(scores) / math.sqrt(len(scores)))


def _kendall_p(y: NDArray[np.float64]) -> float:
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
def _falls(n: int) -> NDArray[np.float64]:
    """Return the probability of 0, 1, 2 ... falling pairs among n values in random order."""
    probabilities = np.ones(1)
    for length in range(2, n + 1):
        probabilities = np.convolve(probabilities, np.full(length, 1 / length))
    return probabilities


def _normal_cdf(z: float) -> float:
    return math.erfc(-z / math.sqrt(2)) / 2


def fading(runs: Runs) -> float:
    """Return the rate of the second half / that of the first, for the median run."""
    # About 1 for a leak, towards 0 for a cache that fills; infinity if the first half does not
    # grow.
    ratios = []
    for first, second in ((_slope(a), _slope(b)) for a, b in map(halves, runs)):
        ratios.append(second / first if first > 0 else np.inf if second > 0 else 1.0)
    return float(np.median(ratios))


def saturates(runs: Runs, margin: float = MIN_BIC_DIFFERENCE) -> bool:
    """Return whether a saturating exponential, and nothing beside it, explains the mean curve.

    `margin` is the evidence that is asked for a leak beside it.
    """
    # By the Bayesian information criterion it must beat a straight line and not be improved by one
    # beside it (a leak during a warm-up), and it must have bent by the last step. Kass, Raftery:
    # Bayes factors (1995), on the margin of 10.
    x, y = _mean_curve(runs)
    if np.ptp(y) == 0 or len(x) < 2 * FEWEST:
        return False
    t, v = (x - x[0]) / np.ptp(x), (y - y[0]) / np.ptp(y)
    filling, tau = fit_saturation(t, v)
    filling_and_leaking, _ = fit_saturation(t, v, t)
    return bool(
        np.exp(-1 / tau) < _MAX_SLOPE_RATIO
        and bic_difference(float(residual_ss(v, t)), filling, len(t)) > MIN_BIC_DIFFERENCE
        and bic_difference(filling, filling_and_leaking, len(t)) <= margin
    )


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p-values adjusted for the number of gauges."""
    # Holm: A simple sequentially rejective multiple test procedure (1979).
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


def theil_sen(x: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Theil-Sen slope of many curves over the same `x`, shape (rows,)."""
    first, second = np.triu_indices(len(x), k=1)
    slopes = (rows[:, second] - rows[:, first]) / (x[second] - x[first])
    middle = [(slopes.shape[1] - 1) // 2, slopes.shape[1] // 2]
    slopes.partition(middle, axis=1)  # as `np.median`, in half its time
    return np.asarray(slopes[:, middle].mean(axis=1))


def fit_saturation(t: Points, values: Points, beside: Points | None = None) -> tuple[float, float]:
    """Fit ``1 - exp(-t / tau)`` and a shape beside it; return the residual sum and tau."""
    low, high = math.log(_TAUS[0]), math.log(_TAUS[1])
    while True:
        logarithms = np.linspace(low, high, _GRID)
        errors = residual_ss(values, 1 - np.exp(-t / np.exp(logarithms)[:, None]), beside)
        best = int(errors.argmin())
        if high - low < _PRECISION:
            return float(errors[best]), math.exp(logarithms[best])
        low, high = logarithms[max(0, best - 1)], logarithms[min(_GRID - 1, best + 1)]


def bic_difference(simple: float, better: float, points: int) -> float:
    """Return by how much the BIC prefers a fit with one more parameter."""
    return float(points * np.log((simple + 1e-12) / (better + 1e-12)) - np.log(points))


def residual_ss(values: Points, shapes: Points, beside: Points | None = None) -> Points:
    """Return the residual sum of squares of a fit by each of many shapes, none of which may fall.

    Shapes are rows. With a shape beside each, the fit has both, or one where both do not fit.
    """
    rest = values - values.mean()
    shapes = shapes - shapes.mean(axis=-1, keepdims=True)
    alone = _fitted(rest, shapes)
    if beside is None:
        return alone
    other = beside - beside.mean()
    squares, shared = (shapes * shapes).sum(axis=-1), shapes @ other
    determinant = squares * (other @ other) - shared**2
    first = (other @ other * (shapes @ rest) - shared * (other @ rest)) / determinant
    second = (squares * (other @ rest) - shared * (shapes @ rest)) / determinant
    left = rest - first[..., None] * shapes - second[..., None] * other
    one = np.minimum(alone, _fitted(rest, other))
    return np.where((first < 0) | (second < 0), one, (left * left).sum(axis=-1))


def _fitted(rest: Points, shapes: Points) -> Points:
    factors = np.maximum(shapes @ rest / (shapes * shapes).sum(axis=-1), 0)
    left = rest - factors[..., None] * shapes
    return np.asarray((left * left).sum(axis=-1))
