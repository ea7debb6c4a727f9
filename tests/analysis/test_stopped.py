"""Memory that grows in jumps is flat or has stopped only where the readings show it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from helpers import traces as made

from resleak.analysis import growth, stopped
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.analysis.series import Readings
from resleak.analysis.statistics import Runs
from resleak.workload.gauges import BUILTIN
from resleak.workload.verdict_words import CLEAN

GAUGES = ("native", "heap", "rss", "uss")
#: Runs and steps of the quick look, of a single run, and of a run that went on.
SHAPES = ((1, 240), (3, 240), (3, 480))
X = np.arange(60.0, 310.0, 10.0)


def table(rate: float, factor: float, first: float, noise: float) -> made.Curve:
    """Return the room of a table that is filled at a rate and grows by a factor when full."""

    def curve(at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        filled = np.maximum(at / first, 1)
        room = rate * first * factor ** np.ceil(np.log(filled) / np.log(factor) - 1e-9)
        return np.asarray(5e6 + room + rng.normal(0, noise, len(at)))

    return curve


def arena(rate: float, steps: float, phase: float, noise: float) -> made.Curve:
    """Return the memory of an allocator that asks for equal chunks, each enough for some steps."""

    def curve(at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return 5e6 + rate * steps * np.ceil(at / steps + phase) + rng.normal(0, noise, len(at))

    return curve


def judged(curve: made.Curve, gauge: str, runs: int, steps: int) -> GaugeVerdict:
    trace = made.trace(curve, gauge=gauge, steps=steps, runs=runs)
    (verdict,) = growth.judge(trace, {gauge: BUILTIN[gauge]})
    return verdict


def leaks(gauge: str) -> Iterator[tuple[float, made.Curve]]:
    """Yield leaks of many rates and sizes of jumps, with and without noise."""
    rng = np.random.default_rng(18)
    for factor in (1.5, 2, 4):
        for _ in range(4):
            rate = float(np.exp(rng.uniform(6, 10))) * (10 if gauge in ("rss", "uss") else 1)
            noise = float(rng.choice([0, rate / 3]))
            yield rate, table(rate, factor, rng.uniform(3, 40), noise)
            yield rate, arena(rate, np.exp(rng.uniform(2, 5.5)), rng.random(), noise)


@pytest.mark.parametrize(("runs", "steps"), SHAPES)
@pytest.mark.parametrize("gauge", GAUGES)
def test_growth_in_jumps_is_never_called_clean(gauge: str, runs: int, steps: int) -> None:
    """A leak in jumps is `leak` or `inconclusive`, or its rate is below the printed limit."""
    for rate, curve in leaks(gauge):
        verdict = judged(curve, gauge, runs, steps)
        assert verdict.verdict not in CLEAN or rate <= verdict.detection_limit, verdict


@pytest.mark.parametrize("gauge", GAUGES)
def test_what_is_clean_has_a_limit_below_what_matters(gauge: str) -> None:
    """Noise of any size is flat only as far as growth could not hide in it; else it takes time."""
    answers = []
    for noise in np.geomspace(1e3, 3e6, 12):
        trace = made.trace(made.noise(noise), gauge=gauge)
        (verdict,) = growth.judge(trace, {gauge: BUILTIN[gauge]})
        series = Readings(trace).series(gauge)
        is_hidden = stopped.hides_growth(BUILTIN[gauge], series, verdict.detection_limit)
        assert verdict.verdict not in CLEAN or not is_hidden
        answers.append(verdict.verdict)
    assert answers[0] == "flat"


@pytest.mark.parametrize("at_steps", [[61], [61, 66, 70], [62, 64]])
@pytest.mark.parametrize("gauge", GAUGES)
def test_early_jumps_are_a_plateau_after_a_long_rest(gauge: str, at_steps: list[int]) -> None:
    """One or a few jumps in the first steps are no noise in a run that rests ever after."""
    size = 4 * BUILTIN[gauge].rise

    def curve(at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return 5e6 + sum(size * (at > step) for step in at_steps) + rng.normal(0, 50, len(at))

    assert judged(curve, gauge, 3, 480).verdict == "plateau"


def test_the_time_that_would_decide_decides() -> None:
    """After about as many more steps as are asked for, the last jump is followed by a plateau."""

    def curve(at: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
        return 5e6 + 4e5 * (at > 120)

    early = judged(curve, "native", 3, 240)
    assert early.verdict == "inconclusive"
    more = int(early.reason.split("about ")[1].split(" more")[0])
    assert judged(curve, "native", 3, 240 + int(round(1.1 * more, -1))).verdict == "plateau"


def test_growth_that_is_seen_at_the_end_is_no_plateau() -> None:
    """Pages that creep and jump are no plateau, though each third rests but for its jumps."""

    def curve(at: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
        return 18e6 + 590 * at + 1.05e6 * (at // 500 + at // 900)

    assert judged(curve, "rss", 3, 2940).verdict not in CLEAN


def test_a_jump_below_what_counts_is_told_in_the_limit() -> None:
    """A small late jump leaves memory flat; its limit is a rate that such jumps may have."""

    def curve(at: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
        return 5e6 + 20_000.0 * (at > 150)

    verdict = judged(curve, "native", 3, 240)
    assert verdict.verdict == "flat"
    assert verdict.detection_limit >= 20_000 / 150


@pytest.mark.parametrize("per_step", [300, 500, 900])
def test_a_line_below_the_noise_floor_is_no_plateau(per_step: int) -> None:
    """Resident memory that certainly grows to the end, by less than counts, has not stopped."""

    def line(at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return 15e6 + 4096 * np.floor(per_step * at / 4096) + rng.normal(0, 5e4) * np.ones(len(at))

    verdict = judged(line, "rss", 3, 4000)
    assert verdict.verdict == "inconclusive"
    assert verdict.per_step == pytest.approx(per_step, rel=0.01)


def runs(y: np.ndarray) -> Runs:
    return [np.column_stack([X, y])] * 3


@pytest.mark.parametrize(
    ("y", "low", "high"),
    [(X, 0.99, 1.01), (np.sqrt(X - 59), 0.2, 0.6), (np.minimum(X, 150), -0.01, 0.2)],
    ids=["keeps up", "bends", "stops"],
)
def test_fading(y: np.ndarray, low: float, high: float) -> None:
    """A leak keeps up with the steps, a cache that fills does not."""
    assert low <= stopped.fading(runs(y)) <= high


def test_late_onset_does_not_fade() -> None:
    """What was level first and climbs later is the opposite of fading."""
    assert stopped.fading(runs(np.maximum(X - 200, 0))) == np.inf


def test_saturation_is_seen_through_noise() -> None:
    """A curve that levels off is told from a straight one, with noise on both."""
    noise = np.random.default_rng(0).normal(0, 5, len(X))
    assert stopped.saturates(runs(1000 * (1 - np.exp(-(X - 60) / 80)) + noise))
    assert not stopped.saturates(runs(4 * X + noise))
