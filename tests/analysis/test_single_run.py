"""Verdicts on one long series, as a watched process or a log gives it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from resleak.analysis import growth
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.workload.gauges import BUILTIN

MIB = 1024.0**2
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
    assert "about 262 more seconds would decide" in early.reason
    assert verdict(50 * MIB + 3000 * np.arange(450.0)).verdict == "leak"


@pytest.mark.parametrize("curve", [noise, wave, sawtooth, spikes])
@pytest.mark.parametrize("readings", [90, 240])
def test_what_does_not_grow_is_never_a_leak(curve: Curve, readings: int) -> None:
    """Noise, parts of waves, saw-teeth and spikes are not called a leak in 20 series each."""
    answers = [verdict(series(curve, seed, readings)).verdict for seed in range(20)]
    assert "leak" not in answers


@pytest.mark.parametrize("curve", [noise, sawtooth, spikes])
def test_a_leak_of_the_detection_limit_is_found(curve: Curve) -> None:
    """Planted into the same series, growth by the printed limit is found in 57 of 60 cases."""
    answers: Counter[str] = Counter()
    for seed in range(60):
        quiet = series(curve, seed, 120)
        limit = verdict(quiet).detection_limit
        answers[verdict(quiet + limit * np.arange(120.0)).verdict] += 1
    assert answers["leak"] >= 57, answers


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
