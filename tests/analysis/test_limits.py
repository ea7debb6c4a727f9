"""Limits and sweeps held against made-up runs with known answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import captures
from helpers import traces as made

from resleak.analysis import limits, verdicts
from resleak.captures import load
from resleak.errors import ScenarioError
from resleak.workload.scenario import Limit, Sweep

SWEEP = Sweep("step_peak", "rows", floor=1.0)
SIZES = 1000.0 * 2 ** np.arange(6)


def held(root: Path, limit: Limit, trace: pd.DataFrame, **end: Any) -> limits.LimitVerdict:
    scenario = captures.scenario(limits=[limit])
    captures.write(root, scenario, "leaky", trace, **end)
    return limits.check(load.load(root))[0]


@pytest.mark.parametrize(
    ("limit", "holds"),
    [
        (Limit("fds", at_least=101), True),
        (Limit("fds", at_least=102), False),
        (Limit("fds", at_most=400), True),
        (Limit("fds", at_most=399), False),
        (Limit("fds", at_end=400), True),
        (Limit("fds", at_end=100), False),
        (Limit("fds", per_second=101), True),  # one a step, a step is 10 ms
        (Limit("fds", per_second=99), False),
    ],
    ids=lambda value: value.text() if isinstance(value, Limit) else str(value),
)
def test_limit_on_a_ramp_from_100_to_400(tmp_path: Path, limit: Limit, holds: bool) -> None:
    """Each kind of limit holds just up to its bound."""
    trace = made.trace(made.ramp(1.0), gauge="fds")
    assert held(tmp_path, limit, trace).holds == holds


def test_one_bad_run_breaks_a_limit(tmp_path: Path) -> None:
    """A limit holds in every run or not at all, and the worst reading is shown."""
    trace = made.trace(made.flat, gauge="fds")
    trace.loc[(trace["run"] == 2) & (trace["step"] == 100), "fds"] = -1
    found = held(tmp_path, Limit("fds", at_least=0), trace)
    assert (found.holds, found.worst) == (False, -1)


def test_exit_time_is_a_gauge(tmp_path: Path) -> None:
    """The seconds that a process took to end are held against a limit like any gauge."""
    trace = made.trace(made.flat, gauge="fds")
    found = held(tmp_path, Limit("exit_s", at_most=2), trace, exit_s=3.5)
    assert (found.holds, found.worst) == (False, 3.5)


def test_time_to_clean_up_is_a_gauge(tmp_path: Path) -> None:
    """The seconds of the tear-down are held against a limit like any gauge."""
    trace = made.trace(made.flat, gauge="fds")
    found = held(tmp_path, Limit("cleanup_s", at_most=2), trace, cleanup_s=2.5)
    assert (found.holds, found.worst) == (False, pytest.approx(2.5))


@pytest.mark.parametrize(
    ("limit", "holds"),
    [
        (Limit("lag_s", at_most=0.1), False),
        (Limit("lag_s", at_most=0.1, quantile=0.95), False),
        (Limit("lag_s", at_most=0.1, quantile=0.89), True),
        (Limit("lag_s", at_most=0.01, quantile=0.5), True),
        (Limit("lag_s", at_most=0.009, quantile=0.5), False),
    ],
    ids=lambda value: value.text() if isinstance(value, Limit) else str(value),
)
def test_limit_on_a_share_of_the_steps(tmp_path: Path, limit: Limit, holds: bool) -> None:
    """Of a measure that is slow in every tenth step, the quantile asked for is what counts."""
    trace = made.trace(lambda at, _: np.where(at % 10 == 5, 0.5, 0.01), gauge="lag_s")
    assert held(tmp_path, limit, trace).holds == holds


def test_a_measure_is_held_against_its_limit_after_the_warm_up(tmp_path: Path) -> None:
    """What the first steps cost, when all is imported and filled, breaks no limit."""
    slow_start = made.trace(lambda at, _: np.where(at <= made.WARMUP, 9.0, 0.01), gauge="step_s")
    assert held(tmp_path, Limit("step_s", at_most=0.1), slow_start).holds


@pytest.mark.parametrize("wrong", [{"quantile": 1.0}, {"quantile": 0.5, "at_most": None}])
def test_a_quantile_that_means_nothing_is_refused(wrong: dict[str, Any]) -> None:
    """A quantile outside 0 and 1, or without a bound, is an error that says so."""
    with pytest.raises(ScenarioError, match="quantile"):
        Limit("lag_s", **{"at_most": 0.1, "at_end": 1 if "at_most" in wrong else None, **wrong})


def test_what_was_not_measured_neither_holds_nor_breaks(tmp_path: Path) -> None:
    """A limit on a gauge without readings has no answer."""
    found = held(tmp_path, Limit("absent", at_most=2), made.trace(made.flat, gauge="fds"))
    assert found.holds is None


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
    found = limits.judge_sweep(SWEEP, runs(exponent))
    assert (found.verdict, found.exponent) == (verdict, pytest.approx(exponent, abs=0.1))
    assert found.low <= found.exponent <= found.high


def test_an_exponent_at_the_threshold_is_not_decided() -> None:
    """Where the interval spans the threshold, the answer is that there is none."""
    assert limits.judge_sweep(SWEEP, runs(SWEEP.at_most, noise=0.8)).verdict == "inconclusive"


def test_the_interval_covers_the_exponent() -> None:
    """In nearly all of a hundred noisy sweeps the interval holds the true exponent."""
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(100):
        size = np.tile(SIZES, 6)
        noisy = [size**0.7 * np.exp(0.3 * rng.normal(size=len(size))) for _ in range(3)]
        found = limits.judge_sweep(SWEEP, [np.column_stack([size, cost]) for cost in noisy])
        covered += found.low <= 0.7 <= found.high
    assert covered >= 88


def test_costs_below_the_floor_are_equal() -> None:
    """Differences among costs too small to matter are no growth."""
    small = [np.column_stack([run[:, 0], run[:, 0] / 1e5]) for run in runs(1.0)]
    assert limits.judge_sweep(SWEEP, small).verdict == "flat"


def test_too_few_sizes_are_no_curve() -> None:
    """Three sizes decide nothing."""
    few = [run[run[:, 0] <= SIZES[2]] for run in runs(1.0)]
    assert limits.judge_sweep(SWEEP, few).verdict == "inconclusive"
    assert limits.judge_sweep(SWEEP, []).verdict == "inconclusive"


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
