"""Student's and Welch's confidence intervals.

A verdict needs Student's distribution alone, and scipy, which has it too, takes longer to load than
a verdict takes.
"""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: Pairs of terms of the continued fraction: enough for 10,000 degrees of freedom.
_TERMS = 100
#: Steps of Newton's method, far more than it takes, and where one changes nothing.
_MOST, _NEGLIGIBLE = 100, 1e-14


def student_quantile(freedom: Any, level: float) -> Any:
    """Return Student's quantile; for arrays of degrees of freedom, an array."""
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
    for _ in range(_MOST):
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
