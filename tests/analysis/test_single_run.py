"""Verdicts on one long series, as a watched process or a log gives it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from resleak.analysis import growth
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.workload.gauges import BUILTIN

MIB = 1024.0**2
DAY = 86_400.0
RSS = {"rss": BUILTIN["rss"]}
Curve = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def verdict(rss: np.ndarray, seconds: np.ndarray | None = None) -> GaugeVerdict:
    """Judge one series of readings, one per second."""
    at = np.arange(len(rss), dtype=float) if seconds is None else seconds
    trace = pd.DataFrame({"variant": "process", "run": 1, "t_s": at, "step": at, "rss": rss})
    trace = trace.assign(block=np.arange(len(rss)), phase="steady", moment="reading")
    trace.attrs["per"] = "s"
    return growth.judge(trace, RSS)[0]


def pace(change: float) -> np.ndarray:
    """Return 90 readings that grow by 0.16 MiB per second, and at another pace from half-way on."""
    at = np.arange(90.0)
    return (50 + 0.16 * (at + change * np.maximum(at - 45, 0))) * MIB


def noise(at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(rng.normal(0, 0.3 * MIB, len(at)))


def wave(at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(MIB * np.sin(at / len(at) * rng.uniform(4, 12) + rng.uniform(0, 6)))


def sawtooth(at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    period = int(rng.integers(7, 25))
    return np.asarray(2 * MIB * ((at + rng.integers(period)) % period) / period)


def spikes(at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random(len(at)) < 0.05, 3 * MIB, 0.0)


def series(curve: Curve, seed: int, readings: int) -> np.ndarray:
    at = np.arange(float(readings))
    return 50 * MIB + curve(at, np.random.default_rng(seed))


@pytest.mark.parametrize("change", [-0.4, -0.3, -0.2, 0.0, 0.2, 0.3, 0.4])
def test_growth_at_a_changing_pace_is_never_called_flat(change: float) -> None:
    """A series that rises at every reading is a leak or undecided, whatever its pace."""
    assert verdict(pace(change)).verdict in ("leak", "inconclusive")


@pytest.mark.parametrize("change", [-0.2, 0.0, 0.3])
def test_a_small_change_of_pace_hides_no_leak(change: float) -> None:
    """A leak that goes on at 80 to 130 % of its pace is found in 90 readings."""
    assert verdict(pace(change)).verdict == "leak"


def test_a_wave_does_not_hide_growth() -> None:
    """A wave of 1 MiB on 0.16 MiB per second leaves the verdict as it is."""
    at = np.arange(90.0)
    assert verdict(pace(0.0) + MIB * np.sin(at / 12)).verdict == "leak"


def test_proven_growth_below_the_noise_floor_is_not_flat() -> None:
    """Growth by 3 kB/s over 90 s is undecided, with the time that would decide; then a leak."""
    at = np.arange(90.0)
    early = verdict(50 * MIB + 3000 * at)
    assert early.verdict == "inconclusive"
    assert re.search(r"about 26\d more seconds would decide", early.reason)
    assert verdict(50 * MIB + 3000 * np.arange(450.0)).verdict == "leak"


@pytest.mark.parametrize("curve", [noise, wave, sawtooth, spikes])
@pytest.mark.parametrize("readings", [90, 240])
def test_what_does_not_grow_is_never_a_leak(curve: Curve, readings: int) -> None:
    """Noise, parts of waves, saw-teeth and spikes are not called a leak in 20 series each."""
    answers = [verdict(series(curve, seed, readings)).verdict for seed in range(20)]
    assert "leak" not in answers


@pytest.mark.parametrize("curve", [noise, wave, sawtooth, spikes])
def test_a_leak_of_the_detection_limit_is_found(curve: Curve) -> None:
    """Planted into the same series, growth by the printed limit is found in 19 of 20 cases."""
    answers: Counter[str] = Counter()
    for seed in range(20):
        quiet = series(curve, seed, 120)
        limit = verdict(quiet).detection_limit
        answers[verdict(quiet + limit * np.arange(120.0)).verdict] += 1
    assert answers["leak"] >= 19, answers


def days(count: float) -> np.ndarray:
    """Return the seconds of a reading per five minutes."""
    return np.arange(0, count * DAY, 300.0)


def daily(at: np.ndarray, height: float, seed: int) -> np.ndarray:
    """Return a daily wave of this height in MiB, with its second harmonic and noise."""
    rng = np.random.default_rng(seed)
    turn = 2 * np.pi * at / DAY
    first, second = np.sin(turn + rng.uniform(0, 6)), np.sin(2 * turn + rng.uniform(0, 6))
    return (300 + height * (first + second / 4) + rng.normal(0, 0.3, len(at))) * MIB


@pytest.mark.parametrize("seed", range(3))
def test_a_leak_under_a_daily_wave_is_found_in_days(seed: int) -> None:
    """2 MiB/h under a wave of 60 MiB is no verdict after 18 hours, and a leak after three days."""
    early, late = days(0.75), days(3)
    assert verdict(daily(early, 60, seed), early).verdict == "inconclusive"
    assert verdict(daily(early, 60, seed) + 2 * MIB * early / 3600, early).verdict != "flat"
    leak = verdict(daily(late, 60, seed) + 2 * MIB * late / 3600, late)
    assert leak.verdict == "leak"
    assert leak.low * 3600 < 2 * MIB < leak.high * 3600
    assert verdict(daily(late, 60, seed), late).verdict in ("flat", "plateau")


@pytest.mark.parametrize("height", [0.0, 20.0])
def test_lives_between_restarts_are_replicates(height: float) -> None:
    """8 MiB/h is found though the process is restarted every 12 hours, and its limit is true."""
    at = days(3)
    quiet, age = daily(at, height, 1), at % (DAY / 2)
    started = quiet + 40 * MIB * np.minimum(age / 3600, 1)
    leak = verdict(started + 8 * MIB * age / 3600, at)
    assert (leak.verdict, leak.runs) == ("leak", 6)
    clean = verdict(started, at)
    assert clean.verdict != "leak"
    assert verdict(started + clean.detection_limit * age, at).verdict == "leak"


def test_teeth_of_minutes_are_no_restarts() -> None:
    """A buffer that is flushed every 15 minutes is one series, and no leak."""
    at = np.arange(0, 4 * 3600.0, 20)
    judged = verdict((60 + 40 * (at % 900) / 900) * MIB, at)
    assert judged.runs == 1
    assert judged.verdict != "leak"


def test_many_looks_are_no_more_often_wrong() -> None:
    """Of 8 quiet series whose noise has a memory, none is called a leak at any of ten looks."""
    for seed in range(8):
        steps = np.random.default_rng(seed).normal(0, 0.3, 400)
        noise = np.array([0.0])
        for step in steps:
            noise = np.append(noise, 0.9 * noise[-1] + step)
        looks = np.unique(np.geomspace(12, 400, 10).astype(int))
        assert "leak" not in {verdict((80 + noise[:look]) * MIB).verdict for look in looks}


@pytest.mark.parametrize("jumps", [[100], [40, 100], [20, 60, 110]])
def test_a_rest_after_a_jump_is_no_plateau_yet(jumps: list[int]) -> None:
    """Growth in jumps has stopped only after a rest of four times the longest one before."""
    at = np.arange(1500.0)
    heights = sum(8.0 * (at >= jump) for jump in jumps)
    rss = (80 + heights + np.random.default_rng(2).normal(0, 0.02, len(at))) * MIB
    assert verdict(rss[:200]).verdict == "inconclusive"
    assert verdict(rss).verdict == "plateau"


def test_growth_that_began_or_ended_late_is_undecided() -> None:
    """Memory that follows its users is no leak while they come, nor just after they came."""
    at = np.arange(600.0)
    came = np.interp(at, [0, 60, 240, 600], [0, 0, 50, 50])
    rss = (90 + came + np.random.default_rng(3).normal(0, 0.3, len(at))) * MIB
    assert verdict(rss[:150]).verdict == "inconclusive"
    assert verdict(rss[:300]).verdict == "inconclusive"


@pytest.mark.parametrize("curve", [pace(0.0), pace(-0.3), 50 * MIB + 0 * pace(0.0)])
def test_readings_of_an_ending_process_change_nothing(curve: np.ndarray) -> None:
    """The zeros that recorders write once the process has ended are no readings of it."""
    ended = np.concatenate([curve, [0.0, 0.0]])
    assert verdict(ended).verdict == verdict(curve).verdict


@pytest.mark.parametrize("change", [-0.3, 0.0, 0.3])
def test_an_offset_a_scale_and_gaps_change_nothing(change: float) -> None:
    """Neither 100 MiB more, nor twice the pace and noise, nor missing readings turn a verdict."""
    curve = pace(change)
    answer = verdict(curve).verdict
    assert verdict(curve + 100 * MIB).verdict == answer
    assert verdict(2 * curve).verdict == answer
    there = np.random.default_rng(1).random(len(curve)) > 0.1
    assert verdict(curve[there], np.flatnonzero(there).astype(float)).verdict == answer
