"""Confidence intervals are those of scipy, with and without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.special import stdtr, stdtrit

from resleak.analysis import intervals


@pytest.mark.parametrize("freedom", [1, 1.3, 2, 3, 4.6, 7, 19.2, 79, 450, 10_000])
def test_distribution_is_students(freedom: float) -> None:
    """Quantiles and probabilities of one number are those of scipy, far into both tails."""
    for level in (1e-6, 0.01, 0.05, 0.5, 0.6, 0.95, 0.975, 0.999, 1 - 1e-6):
        quantile = intervals.student_quantile(freedom, level)
        assert quantile == pytest.approx(stdtrit(freedom, level), rel=1e-9, abs=1e-12)
    for t in (-1e3, -20, -2, -0.1, 0, 0.1, 2, 20, 1e3):
        below = intervals.student_below(freedom, t)
        assert below == pytest.approx(stdtr(freedom, t), rel=1e-9, abs=1e-300)


def test_verdict_needs_no_scipy() -> None:
    """Captures are judged, and their causes found, without scipy, which takes long to load."""
    code = (
        "import sys, resleak; resleak.judge(resleak.load(sys.argv[1])).to_dict(); "
        "sys.exit('scipy' in sys.modules)"
    )
    stored = Path(__file__).parents[2] / "data" / "captures" / "embedder" / "batch_without_pool"
    assert subprocess.run([sys.executable, "-c", code, stored], check=False).returncode == 0


def test_the_interval_of_a_difference_is_welchs() -> None:
    """For each row, half the interval is that of Welch's test in scipy."""
    rng = np.random.default_rng(0)
    old, new = rng.normal(0, 1, (3, 8)), rng.normal(1, 3, (3, 6))
    welch = stats.ttest_ind(new, old, axis=1, equal_var=False).confidence_interval(0.95)
    assert intervals.welch_half_widths(old, new) == pytest.approx((welch.high - welch.low) / 2)
