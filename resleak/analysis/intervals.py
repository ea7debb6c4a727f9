"""Student's and Welch's confidence intervals; scipy is loaded only where it is needed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: Student's quantile at 0.95 for 1, 2, 3 … degrees of freedom: ranking the sites of one capture
#: needs no more, and scipy, which has the others, takes long to load.
_ONE_SIDED = (
    *(6.313751514675037, 2.9199855803537242, 2.3533634348018233, 2.1318467863266495),
    *(2.0150483733330233, 1.9431802805153042, 1.8945786050900062),
)


def student_quantile(freedom: Any, level: float) -> Any:
    """Return Student's quantile; for arrays of degrees of freedom, an array."""
    if level == 0.95 and isinstance(freedom, int) and freedom <= len(_ONE_SIDED):
        return _ONE_SIDED[freedom - 1]
    from scipy.special import stdtrit

    return stdtrit(freedom, level)


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
