"""Sweeps judged on made-up costs with known exponents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import captures
from helpers import traces as made

from resleak.analysis import scaling, verdicts
from resleak.captures import load
from resleak.workload.scenario import Sweep

SWEEP = Sweep("step_peak", "rows", floor=1.0)
SIZES = 1000.0 * 2 ** np.arange(6)


def runs(exponent: float, noise: float = 0.1, steps: int = 48, count: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    size = np.tile(SIZES, steps // len(SIZES))
    costs = [50 * size**exponent * np.exp(noise * rng.normal(size=len(size))) for _ in range(count)]
    return [np.column_stack([size, cost]) for cost in costs]


@pytest.mark.parametrize(
    ("exponent", "verdict"), [(1.0, "scales"), (0.5, "scales"), (0.1, "flat"), (0.0, "flat")]
)
def test_known_exponents(exponent: float, verdict: str) -> None:
    """A cost that grows with its size scales, one that does not is flat, with the exponent."""
    found = scaling.judge(SWEEP, runs(exponent))
    assert (found.verdict, found.exponent) == (verdict, pytest.approx(exponent, abs=0.1))
    assert found.low <= found.exponent <= found.high


def test_an_exponent_at_the_threshold_is_not_decided() -> None:
    """Where the interval spans the threshold, the answer is that there is none."""
    assert scaling.judge(SWEEP, runs(SWEEP.at_most, noise=0.8)).verdict == "inconclusive"


def test_the_interval_covers_the_exponent() -> None:
    """In nearly all of a hundred noisy sweeps the interval holds the true exponent."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(100):
        size = np.tile(SIZES, 6)
        noisy = [size**0.7 * np.exp(0.3 * rng.normal(size=len(size))) for _ in range(3)]
        found = scaling.judge(SWEEP, [np.column_stack([size, cost]) for cost in noisy])
        covered += found.low <= 0.7 <= found.high
    assert covered >= 88


def test_costs_below_the_floor_are_equal() -> None:
    """Differences among costs too small to matter are no growth."""
    small = [np.column_stack([run[:, 0], run[:, 0] / 1e5]) for run in runs(1.0)]
    assert scaling.judge(SWEEP, small).verdict == "flat"


def test_too_few_sizes_are_no_curve() -> None:
    """Three sizes decide nothing."""
    few = [run[run[:, 0] <= SIZES[2]] for run in runs(1.0)]
    assert scaling.judge(SWEEP, few).verdict == "inconclusive"
    assert scaling.judge(SWEEP, []).verdict == "inconclusive"


def trace(exponent: float) -> pd.DataFrame:
    cost = made.trace(lambda at, _: 50 * SIZES[at % 6] ** exponent, gauge="step_peak")
    return cost.assign(rows=SIZES[cost["step"].to_numpy() % 6])


def test_a_sweep_is_a_symptom(tmp_path: Path) -> None:
    """A claim that a cost scales is judged like any other: leaky scales, fixed does not."""
    declared = captures.scenario(
        claim="memory grows with the rows",
        symptoms={"step_peak": "scales"},
        outcome="reproduced",
        fix="holds",
        gauges=(),
        sweeps=[SWEEP],
    )
    captures.write(tmp_path, declared, "leaky", trace(1.0))
    captures.write(tmp_path, declared, "fixed", trace(0.0))
    judged = verdicts.judge(load.load(tmp_path))
    assert judged.claim["measured"] == "reproduced"
    assert judged.claim["fix"]["measured"] == "holds"
    assert judged.variants["leaky"].verdict == "scales"
    assert judged.variants["leaky"].scaling[0].exponent == pytest.approx(1.0)
    assert judged.to_dict()["variants"]["fixed"]["sweeps"][0]["verdict"] == "flat"
