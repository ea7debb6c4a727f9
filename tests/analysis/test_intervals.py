"""Confidence intervals are those of scipy, with and without it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import stdtrit

from resleak.analysis import intervals


@pytest.mark.parametrize("freedom", [*range(1, 10), 79])
def test_quantiles_are_students(freedom: int) -> None:
    """The quantiles that need no scipy are scipy's."""
    quantile = intervals.student_quantile(freedom, 0.95)
    assert quantile == pytest.approx(stdtrit(freedom, 0.95), rel=1e-12)


def test_the_interval_of_a_difference_is_welchs() -> None:
    """For each row, half the interval is that of Welch's test in scipy."""
    rng = np.random.default_rng(0)
    old, new = rng.normal(0, 1, (3, 8)), rng.normal(1, 3, (3, 6))
    welch = stats.ttest_ind(new, old, axis=1, equal_var=False).confidence_interval(0.95)
    assert intervals.welch_half_widths(old, new) == pytest.approx((welch.high - welch.low) / 2)
