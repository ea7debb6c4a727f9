"""The statistics on made-up points with known answers; quantiles are those of scipy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.special import stdtr, stdtrit

from resleak.analysis import statistics

X = np.arange(60.0, 310.0, 10.0)


def runs(y: np.ndarray, count: int = 3) -> statistics.Runs:
    return [np.column_stack([X, y])] * count


def test_warm_up_ends_where_the_line_breaks() -> None:
    """A curve that fills and is flat since is split where it became level."""
    y = np.minimum(X, 150.0)
    assert statistics.warmup_end(runs(y)) == pytest.approx(150, abs=10)


@pytest.mark.parametrize("y", [np.zeros_like(X), 3 * X], ids=["flat", "straight"])
def test_a_straight_line_is_not_split(y: np.ndarray) -> None:
    """Where one line explains it all, every point counts."""
    assert statistics.warmup_end(runs(y)) == X[0]


def test_an_almost_exact_ramp_is_not_split() -> None:
    """Noise of a thousandth of the climb is no warm-up, though two lines follow it better."""
    noise = np.where(X > 200, 0.4, -0.4)
    assert statistics.warmup_end(runs(X + noise)) == X[0]


def test_enough_points_are_left_after_a_late_break() -> None:
    """A break in the last points leaves the fewest points a rate is computed from."""
    y = np.maximum(X - 280, 0.0)
    assert np.sum(statistics.warmup_end(runs(y)) <= X) >= statistics.FEWEST


def test_one_outlier_does_not_move_the_rate() -> None:
    """A single spike leaves the rate where it was."""
    y = 2 * X
    y[7] += 10_000
    assert statistics.rate(runs(y)).value == pytest.approx(2.0)


def test_serial_noise_widens_the_interval() -> None:
    """Noise that hangs together from point to point gives a wider interval than the same, mixed."""
    rng = np.random.default_rng(3)
    noise = np.repeat(rng.normal(0, 50, 9), 3)[: len(X)]
    mixed = rng.permutation(noise)
    assert statistics.rate(runs(noise)).half_width > statistics.rate(runs(mixed)).half_width


def test_runs_are_joined() -> None:
    """Three runs that climb alike are stronger evidence than one."""
    y = X + np.random.default_rng(1).normal(0, 100, len(X))
    assert statistics.climb_p(runs(y, 3)) < statistics.climb_p(runs(y, 1))


def test_holm() -> None:
    """The correction is that of Holm's step-down procedure."""
    adjusted = statistics.holm(np.array([0.04, 0.01, 0.03]))
    assert adjusted == pytest.approx([0.06, 0.03, 0.06])


def test_thinning_keeps_the_low_points() -> None:
    """Of each group of neighbours the lowest value stays, so that a saw-tooth goes."""
    points = np.column_stack([np.arange(400.0), np.tile([0.0, 9.0], 200)])
    thinned = statistics.thin(points)
    assert len(thinned) == 40
    assert not thinned[:, 1].any()


@pytest.mark.parametrize("steps", [8, 33, 40])
def test_trend_as_in_scipy(steps: int) -> None:
    """The p-value of a trend is that of Kendall's test in scipy, with ties and without."""
    noise = np.random.default_rng(steps).normal(size=(20, steps))
    x = np.arange(float(steps))
    for y in (*noise, *noise.round(), *(noise + x / 5), x, -x, x // 7):
        theirs = stats.kendalltau(x, y, alternative="greater").pvalue
        clipped = np.clip(theirs, 1e-15, 1 - 1e-15)
        assert statistics.climb_p([np.column_stack([x, y])]) == pytest.approx(clipped, rel=1e-9)


@pytest.mark.parametrize("freedom", [1, 1.3, 2, 3, 4.6, 7, 19.2, 79, 450, 10_000])
def test_distribution_is_students(freedom: float) -> None:
    """Quantiles and probabilities of one number are those of scipy, far into both tails."""
    for level in (1e-6, 0.01, 0.05, 0.5, 0.6, 0.95, 0.975, 0.999, 1 - 1e-6):
        quantile = statistics.student_quantile(freedom, level)
        assert quantile == pytest.approx(stdtrit(freedom, level), rel=1e-9, abs=1e-12)
    for t in (-1e3, -20, -2, -0.1, 0, 0.1, 2, 20, 1e3):
        below = statistics.student_below(freedom, t)
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
    assert statistics.welch_half_widths(old, new) == pytest.approx((welch.high - welch.low) / 2)
