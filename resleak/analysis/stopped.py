"""Growth in jumps, growth that saturates, and evidence that growth has stopped."""

from __future__ import annotations

import math

import numpy as np

from resleak.analysis import statistics
from resleak.analysis.series import Series
from resleak.analysis.statistics import Points, Runs
from resleak.workload.gauges import Gauge

#: Smallest jump / largest jump from which on jumps are of one size.
_EVEN = 0.8
#: A hash table doubles at most this often while it grows by a factor of eight.
_MAX_RESIZES = 3
#: Jumps are rises above this share of the largest; a series in jumps falls and creeps by less than
#: half as much.
_JUMP = 0.25
#: Rise over a run that a detection limit may hide: so many times what counts as a rise or comes of
#: the noise floor, or half as many times the range of the readings.
_MOST_HIDDEN = 8.0
#: A series in jumps has stopped after a rest of so many times the longest one before: a table that
#: grows to four times its size rests for three times the steps since the first one. Over time the
#: first rest began at an unknown time before the readings.
_RESTS, _RESTS_S = 3.0, 4.0
#: Difference of the Bayesian information criterion that is very strong evidence.
MIN_BIC_DIFFERENCE = 10.0
#: Time constants of a saturation, as shares of the span, and the precision of their logarithm.
_TAUS, _GRID, _PRECISION = (0.03, 2.0), 24, 1e-6
#: Slope ratio (last / first) below which a filling curve has bent.
_MAX_SLOPE_RATIO = 0.6
#: Readings at the ends of the last third whose medians are compared.
_ENDS = 3


def has_even_jumps(gauge: Gauge, series: Series) -> bool:
    """Return whether each run rests except for jumps of one size, over its whole length."""
    if gauge.family == "resident":  # it jumps whenever the allocator asks for more
        return False
    min_rise = max(gauge.rise, 2.0)
    for points in series.steady:
        at, sizes, rest = _jumps(points, 0.5)
        if not 2 <= len(at) <= len(points) / 4 or sizes.sum() < min_rise:
            return False
        # A growing hash table jumps too, but by more each time and ever more seldom.
        is_even = sizes.min() > _EVEN * sizes.max()
        rests = np.abs(rest).sum() < (1 - _EVEN) * sizes.sum()
        longest = np.diff(at).max() / _EVEN
        lasts = at[0] - points[0, 0] <= longest and points[-1, 0] - at[-1] <= longest
        if not (is_even and rests and lasts):
            return False
    return True


def has_few_jumps(gauge: Gauge, series: Series, floor: float) -> bool:
    """Return whether memory grows in a few jumps alone, as a resized hash table does."""
    if gauge.family not in ("memory", "objects"):
        return False
    steps = statistics.span(series.steady)
    jumps = [_jumps(points, _JUMP) for points in series.steady]
    return all(len(at) <= _MAX_RESIZES and rest.sum() <= floor * steps for at, _, rest in jumps)


def missing_rest(gauge: Gauge, series: Series) -> float:
    """Return for how long memory that grew in jumps must still rest; 0 where it need not."""
    if gauge.is_counted:
        return 0.0
    missing, is_timed = 0.0, series.per == "s"
    for points in series.steady:
        at, sizes, rest = _jumps(points, _JUMP)
        if not 0 < len(at) < len(points) / 4 or np.abs(rest).sum() > sizes.sum() / 2:
            continue  # it does not jump
        # What grows with the steps began to grow with the first one, before the readings.
        longest = np.diff([points[0, 0] if is_timed else 0.0, *at]).max()
        rests = _RESTS_S if is_timed else _RESTS
        missing = max(missing, rests * longest - (points[-1, 0] - at[-1]))
    return float(missing)


def _jumps(points: Points, share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the steps of rises above a share of the largest, their sizes, and the other rises."""
    rises = np.diff(points[:, 1])
    jumps = rises > max(share * rises.max(), 0.0)
    return points[1:, 0][jumps], rises[jumps], rises[~jumps]


def late_rise(series: Series) -> float:
    """Return the largest rise of a run above its first reading after the warm-up."""
    return float(max(points[:, 1].max() - points[0, 1] for points in series.steady))


def rise_at_end(series: Series) -> float:
    """Return the rise over the last third: what was seen, or what cannot be excluded."""
    thirds = [points[-max(statistics.FEWEST, len(points) // 3) :] for points in series.steady]
    ends = [(np.median(points[:_ENDS, 1]), np.median(points[-_ENDS:, 1])) for points in thirds]
    seen = float(np.median([last - first for first, last in ends]))
    # The rate of a series that grows in jumps is that of its rests.
    return max(seen, statistics.rate(thirds).high * statistics.span(thirds))


def hides_growth(gauge: Gauge, series: Series, limit: float) -> bool:
    """Return whether growth of memory that matters could be below a detection limit."""
    if gauge.is_counted or series.per == "s":  # they have rules of their own
        return False
    span = statistics.span(series.steady)
    reach = max(float(np.ptp(points[:, 1])) for points in series.steady)
    return not limit * span <= _MOST_HIDDEN * max(gauge.floor * span, gauge.rise, reach / 2)


def fading(runs: Runs) -> float:
    """Return the rate of the second half / that of the first, for the median run."""
    # About 1 for a leak, towards 0 for a cache that fills; infinite if the first half is flat.
    ratios = []
    for points in runs:
        first, second = statistics.slopes([*statistics.halves(points)]).tolist()
        ratios.append(second / first if first > 0 else np.inf if second > 0 else 1.0)
    return float(np.median(ratios))


def saturates(runs: Runs, margin: float = MIN_BIC_DIFFERENCE) -> bool:
    """Return whether a saturating exponential, and nothing beside it, explains the mean curve."""
    # By the Bayesian information criterion it must beat a straight line and not be improved by one
    # beside it (a leak during a warm-up) by more than a margin, and it must have bent by the last
    # step. Kass, Raftery: Bayes factors (1995), on the margin of 10.
    x, y = statistics.mean_curve(runs)
    if np.ptp(y) == 0 or len(x) < 2 * statistics.FEWEST:
        return False
    t, v = (x - x[0]) / np.ptp(x), (y - y[0]) / np.ptp(y)
    filling, tau = _fit_saturation(t, v)
    filling_and_leaking, _ = _fit_saturation(t, v, t)
    return bool(
        np.exp(-1 / tau) < _MAX_SLOPE_RATIO
        and _bic_difference(float(_residual_ss(v, t)), filling, len(t)) > MIN_BIC_DIFFERENCE
        and _bic_difference(filling, filling_and_leaking, len(t)) <= margin
    )


def _fit_saturation(t: Points, values: Points, beside: Points | None = None) -> tuple[float, float]:
    """Fit ``1 - exp(-t / tau)`` and a shape beside it; return the residual sum and tau."""
    low, high = math.log(_TAUS[0]), math.log(_TAUS[1])
    while True:
        logarithms = np.linspace(low, high, _GRID)
        errors = _residual_ss(values, 1 - np.exp(-t / np.exp(logarithms)[:, None]), beside)
        best = int(errors.argmin())
        if high - low < _PRECISION:
            return float(errors[best]), math.exp(logarithms[best])
        low, high = logarithms[max(0, best - 1)], logarithms[min(_GRID - 1, best + 1)]


def _bic_difference(simple: float, better: float, points: int) -> float:
    """Return by how much the BIC prefers a fit with one more parameter."""
    return float(points * np.log((simple + 1e-12) / (better + 1e-12)) - np.log(points))


def _residual_ss(values: Points, shapes: Points, beside: Points | None = None) -> Points:
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
