"""Memory of made-up services over time, with known truth, written as logs of mprof or psrecord.

Each kind is a function of a random generator that returns seconds and mebibytes; `SERIES` has the
kinds with their truth. The rate is the true long-run growth in MiB per hour: 0 for what is bounded.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from scipy import signal

Points = tuple[np.ndarray, np.ndarray]
HOUR, DAY = 3600.0, 86_400.0
#: Parts of a series that are judged in turn, as one looks at a running service.
LOOKS = (0.25, 0.5, 0.75, 1.0)
SEEDS = 5


@dataclass(frozen=True)
class Series:
    """One kind of service.

    Attributes
    ----------
    name, family : str
        Of the kind; the family is how tables group it.
    make : callable
        From a random generator to seconds and mebibytes.
    rate : float
        True long-run growth, MiB per hour; 0 if it is bounded.
    is_constant : bool
        True if it grows at this rate all the time, so that each look has the same truth.
    recorder : str
        ``mprof`` or ``psrecord``.
    ends_in_zero : bool
        True if the recorder wrote the readings of the ended process, too.
    life_s : float
        Seconds from restart to restart.
    """

    name: str
    family: str
    make: Callable[[Generator], Points]
    rate: float = 0.0
    is_constant: bool = False
    recorder: str = "psrecord"
    ends_in_zero: bool = False
    life_s: float = math.inf

    @property
    def leaks(self) -> bool:
        """True if it grows without bound."""
        return self.rate > 0

    def points(self, seed: int) -> Points:
        """Return seconds and mebibytes; the same for the same seed."""
        digest = hashlib.sha256(f"{self.name} {seed}".encode()).digest()
        t, mib = self.make(np.random.default_rng(int.from_bytes(digest[:8], "big")))
        return t, np.maximum(mib, 0.1)

    def code(self) -> str:
        """Return a digest of what the points depend on."""
        sample = [values.round(6).tobytes() for values in self.points(0)]
        text = repr((self.name, self.rate, self.recorder, self.ends_in_zero, LOOKS)).encode()
        return hashlib.sha256(b"".join([text, *sample])).hexdigest()[:12]

    def written(self, folder: Path, seed: int, look: float = 1.0, plant_per_h: float = 0.0) -> Path:
        """Write the first part of the series as a log, with a leak in it; return its path."""
        t, mib = self.points(seed)
        mib = mib + plant_per_h * _age(t - t[0], self.life_s) / HOUR
        count = max(round(len(t) * look), 2)
        rows = list(zip(t[:count], mib[:count], strict=True))
        ended = [(rows[-1][0] + t[1] - t[0], 0.0)] if self.ends_in_zero and look == 1 else []
        name, lines = {"mprof": _mprof, "psrecord": _psrecord}[self.recorder](rows + ended)
        path = folder / f"{self.name}-{seed}-{look:g}{name}"
        path.write_text("\n".join(lines) + "\n")
        return path


def all_series() -> list[Series]:
    """Return every kind, leaks first."""
    return [*_leaks(), *_bounded()]


def mann_kendall(t: np.ndarray, mib: np.ndarray) -> str:
    """Return ``leak`` if Kendall's test finds a rising trend (p < .05)."""
    from scipy import stats

    p = stats.kendalltau(t, mib, alternative="greater").pvalue
    return "leak" if p < 0.05 else "flat"


def ten_megabytes_an_hour(t: np.ndarray, mib: np.ndarray) -> str:
    """Return ``leak`` if it grows by more than 10 MB per hour after the first tenth."""
    begun = len(t) // 10
    grown = (mib[-1] - mib[begun]) * 1.048576
    return "leak" if grown > 10 * (t[-1] - t[begun]) / HOUR else "flat"


PEERS = {"Mann-Kendall": mann_kendall, "> 10 MB/h": ten_megabytes_an_hour}


def _mprof(rows: list[tuple[float, float]]) -> tuple[str, list[str]]:
    lines = [f"MEM {mib:.6f} {1.76e9 + t:.4f}" for t, mib in rows]
    return ".dat", ["CMDLINE python -m service", *lines]


def _psrecord(rows: list[tuple[float, float]]) -> tuple[str, list[str]]:
    head = "# Elapsed time   CPU (%)     Real (MB)   Virtual (MB)"
    return ".log", [head, *(f"{t:12.3f} {9.0:12.3f} {mib:12.3f} {500.0:12.3f}" for t, mib in rows)]


def _clock(seconds: float, every: float) -> np.ndarray:
    return np.arange(0, seconds, every)


def _noise(rng: Generator, n: int, sd: float, tail: float = 0.0, phi: float = 0.0) -> np.ndarray:
    """Return noise: normal, or Student's t with `tail` degrees of freedom; AR(1) with `phi`."""
    raw = rng.standard_t(tail, n) if tail else rng.standard_normal(n)
    if phi:
        start = signal.lfiltic([math.sqrt(1 - phi**2)], [1, -phi], [rng.standard_normal()])
        raw, _ = signal.lfilter([math.sqrt(1 - phi**2)], [1, -phi], raw, zi=start)
    return np.asarray(sd * raw)


def _wave(rng: Generator, t: np.ndarray, height: float, period: float) -> np.ndarray:
    """Return a wave with one harmonic and a random phase."""
    phase, second = rng.uniform(0, 2 * math.pi, 2)
    turn = 2 * math.pi * t / period
    return np.asarray(height * np.sin(turn + phase) + 0.25 * height * np.sin(2 * turn + second))


def _warmup(t: np.ndarray, height: float, tau: float) -> np.ndarray:
    return np.asarray(height * (1 - np.exp(-t / tau)))


def _age(t: np.ndarray, every: float) -> np.ndarray:
    """Return the seconds since the last restart."""
    return np.asarray(np.fmod(t, every))


def _saw(rng: Generator, t: np.ndarray, height: float, period: float) -> np.ndarray:
    """Return a saw-tooth whose teeth differ in length and in height."""
    values, length, top = np.empty(len(t)), period, height
    begun = -rng.uniform(0, period)
    for number, second in enumerate(t):
        if second >= begun + length:
            begun, length = second, period * rng.uniform(0.7, 1.3)
            top = height * rng.uniform(0.8, 1.2)
        values[number] = top * (second - begun) / length
    return values


def _pages(mib: np.ndarray, size: float = 1 / 256) -> np.ndarray:
    return np.asarray(np.floor(mib / size) * size)


def _steady(rng: Generator, *, seconds: float, every: float, rate: float, **noise: float) -> Points:
    """Return a leak of `rate` MiB per hour with noise."""
    t = _clock(seconds, every)
    return t, 50 + rate * t / HOUR + _noise(rng, len(t), **noise)


def _pace(rng: Generator, *, change: float, seconds: float = 90, at: float = 0.5) -> Points:
    """Return 0.16 MiB per second until `at`, and `change` times as much after it."""
    t = _clock(seconds, 1.0)
    late = np.maximum(t - at * seconds, 0)
    return t, _pages(50 + 0.16 * (t + (change - 1) * late) + _noise(rng, len(t), sd=0.02))


def _waving(rng: Generator, *, seconds: float, every: float, rate: float, height: float,
            period: float, sd: float = 0.2) -> Points:  # fmt: skip
    t = _clock(seconds, every)
    wave = _wave(rng, t, height, period)
    return t, 200 + rate * t / HOUR + wave + _noise(rng, len(t), sd=sd)


def _traffic(rng: Generator, *, rate: float, days: float = 3) -> Points:
    """Return a leak that follows the traffic of day and night: its pace is between 0.2 and 1.8."""
    t = _clock(days * DAY, 60)
    swing = 0.8 * DAY / (2 * math.pi) * (1 - np.cos(2 * math.pi * t / DAY + rng.uniform(0, 6)))
    return t, 100 + rate * (t + swing - swing[0]) / HOUR + _noise(rng, len(t), sd=0.5)


def _restarted(rng: Generator, *, rate: float, every: float, warm: float = 0.0,
               days: float = 3, daily: float = 0.0) -> Points:  # fmt: skip
    """Return a service that is restarted now and then, and grows by `rate` from its start."""
    t = _clock(days * DAY, 60)
    age = _age(t, every)
    wave = _wave(rng, t, daily, DAY) if daily else 0
    grown = 80 + rate * age / HOUR + _warmup(age, warm, 1200) + wave
    return t, grown + _noise(rng, len(t), sd=0.4)


def _sawing(rng: Generator, *, seconds: float, every: float, rate: float, height: float,
            period: float) -> Points:  # fmt: skip
    t = _clock(seconds, every)
    saw = _saw(rng, t, height, period)
    return t, 120 + rate * t / HOUR + saw + _noise(rng, len(t), sd=0.05)


def _warm_leak(rng: Generator, *, seconds: float, rate: float, warm: float, tau: float) -> Points:
    t = _clock(seconds, seconds / 600)
    return t, 60 + _warmup(t, warm, tau) + rate * t / HOUR + _noise(rng, len(t), sd=0.1)


def _gaps(rng: Generator, *, rate: float, seconds: float = 7200) -> Points:
    """Return a recorder that sleeps three times for a tenth of the time."""
    t, mib = _steady(rng, seconds=seconds, every=5, rate=rate, sd=0.15)
    kept = np.ones(len(t), dtype=bool)
    for begin in rng.uniform(0.05, 0.85, 3):
        kept[int(begin * len(t)) : int((begin + 0.1) * len(t))] = False
    return t[kept], mib[kept]


def _in_jumps(rng: Generator, *, rate: float, seconds: float, jump: float) -> Points:
    """Return growth in jumps at random moments: arenas, or chunks that an allocator takes."""
    t = _clock(seconds, seconds / 600)
    count = rng.poisson(rate * (t[1] - t[0]) / HOUR / jump, len(t))
    return t, 90 + jump * np.cumsum(count) + _noise(rng, len(t), sd=0.03)


def _faster(rng: Generator, *, seconds: float, rate: float) -> Points:
    """Return growth whose pace doubles over the time."""
    t = _clock(seconds, seconds / 400)
    return t, 70 + rate * (2 / 3) * (t + t**2 / (2 * seconds)) / HOUR + _noise(rng, len(t), sd=0.1)


def _spikes(rng: Generator, *, seconds: float, rate: float, height: float) -> Points:
    """Return growth under spikes that take a while to go."""
    t = _clock(seconds, seconds / 800)
    hits = rng.exponential(height, len(t)) * (rng.random(len(t)) < 0.01)
    spikes = signal.lfilter([1.0], [1.0, -0.9], hits)
    return t, 90 + rate * t / HOUR + spikes + _noise(rng, len(t), sd=0.1)


def _leaks() -> Iterator[Series]:
    make: Any = partial
    yield Series("steady", "leak", make(_steady, seconds=90, every=1, rate=576, sd=0.05), 576, True)
    yield Series("steady_mprof", "leak", make(_steady, seconds=60, every=0.1, rate=200, sd=0.02),
                 200, True, "mprof")  # fmt: skip
    yield Series("steady_hour", "leak", make(_steady, seconds=HOUR, every=5, rate=12, sd=0.1),
                 12, True)  # fmt: skip
    yield Series("steady_day", "leak", make(_steady, seconds=DAY, every=60, rate=0.5, sd=0.3),
                 0.5, True)  # fmt: skip
    yield Series("slow_pages", "leak", _slow_pages, 10.8, True)
    yield Series("heavy_tails", "leak", make(_steady, seconds=HOUR, every=5, rate=20, sd=0.3,
                                             tail=2), 20, True)  # fmt: skip
    yield Series("memory_of_noise", "leak", make(_steady, seconds=6 * HOUR, every=30, rate=4, sd=1,
                                                 phi=0.95), 4, True)  # fmt: skip
    yield Series("long_memory_of_noise", "leak", make(_steady, seconds=DAY, every=60, rate=3, sd=4,
                                                      phi=0.99), 3, True)  # fmt: skip
    for change in (0.6, 0.8, 1.3, 2.0):
        rate = 576 * (1 + change) / 2
        yield Series(f"pace_{change:g}", "leak, pace", make(_pace, change=change), rate)
    yield Series("traffic", "leak, pace", make(_traffic, rate=3), 3)
    yield Series("faster", "leak, pace", make(_faster, seconds=HOUR, rate=30), 30)
    yield Series("wave_short", "leak, wave", make(_waving, seconds=90, every=1, rate=576, height=1,
                                                  period=75, sd=0.02), 576, True)  # fmt: skip
    yield Series("wave_ten_minutes", "leak, wave", make(_waving, seconds=600, every=1, height=1,
                                                        rate=576, period=250),
                 576, True)  # fmt: skip
    yield Series("wave_day", "leak, wave", make(_waving, seconds=3 * DAY, every=60, rate=3,
                                                height=8, period=DAY), 3, True)  # fmt: skip
    yield Series("wave_day_high", "leak, wave", make(_waving, seconds=3 * DAY, every=60, rate=2,
                                                     height=60, period=DAY), 2, True)  # fmt: skip
    yield Series("restarts", "leak, restarts", make(_restarted, rate=8, every=12 * HOUR), 8)
    yield Series("restarts_warm", "leak, restarts", make(_restarted, rate=5, every=8 * HOUR,
                                                         warm=40), 5)  # fmt: skip
    yield Series("restarts_wave", "leak, restarts", make(_restarted, rate=8, every=DAY, warm=20,
                                                         daily=15), 8)  # fmt: skip
    yield Series("saw", "leak, saw", make(_sawing, seconds=1200, every=2, rate=60, height=20,
                                          period=45), 60, True)  # fmt: skip
    yield Series("saw_slow", "leak, saw", make(_sawing, seconds=6 * HOUR, every=30, rate=4,
                                               height=12, period=1700), 4, True)  # fmt: skip
    yield Series("warm_up", "leak, warm-up", make(_warm_leak, seconds=900, rate=90, warm=60,
                                                  tau=90), 90)  # fmt: skip
    yield Series("warm_up_long", "leak, warm-up", make(_warm_leak, seconds=2 * HOUR, rate=15,
                                                       warm=80, tau=1500), 15)  # fmt: skip
    yield Series("gaps", "leak, recorder", make(_gaps, rate=15), 15, True)
    yield Series("final_zero", "leak, recorder", make(_steady, seconds=300, every=1, rate=60,
                                                      sd=0.05),
                 60, True, "mprof", True)  # fmt: skip
    yield Series("jumps", "leak, jumps", make(_in_jumps, rate=60, seconds=1800, jump=1.0), 60)
    yield Series("jumps_large", "leak, jumps", make(_in_jumps, rate=40, seconds=6 * HOUR, jump=8),
                 40)  # fmt: skip
    yield Series("spikes", "leak, spikes", make(_spikes, seconds=2 * HOUR, rate=10, height=30), 10)


def _slow_pages(rng: Generator) -> Points:
    """Return 3 kB per second, which the kernel counts in pages of 4 KiB."""
    t = _clock(600, 1)
    return t, 12 + _pages(10.8 * t / HOUR + rng.uniform(0, 1 / 256))


def _level(rng: Generator, *, seconds: float, every: float, **noise: float) -> Points:
    return _steady(rng, seconds=seconds, every=every, rate=0, **noise)


def _warming(rng: Generator, *, seconds: float, height: float, share: float) -> Points:
    """Return a warm-up that is over (95 %) after `share` of the time."""
    t = _clock(seconds, seconds / 600)
    return t, 60 + _warmup(t, height, share * seconds / 3) + _noise(rng, len(t), sd=0.1)


def _filling(rng: Generator, *, seconds: float, height: float, share: float) -> Points:
    """Return a cache that fills in a straight line until `share` of the time."""
    t = _clock(seconds, seconds / 600)
    return t, 60 + height * np.minimum(t / (share * seconds), 1) + _noise(rng, len(t), sd=0.05)


def _collecting(rng: Generator, *, seconds: float, names: int, draws: int) -> Points:
    """Return a cache by name, where names come at random: it fills ever more slowly."""
    t = _clock(seconds, seconds / 600)
    first = np.unique(rng.integers(0, names, draws), return_index=True)[1]
    filled = np.searchsorted(np.sort(first), draws * (t + t[1]) / seconds)
    return t, 80 + 0.05 * filled + _noise(rng, len(t), sd=0.05)


def _steps(rng: Generator, *, seconds: float, heights: tuple[float, ...]) -> Points:
    """Return steps at random moments of the middle: each happens once."""
    t = _clock(seconds, seconds / 600)
    at = np.sort(rng.uniform(0.2, 0.8, len(heights))) * seconds
    level = sum(height * (t > begin) for height, begin in zip(heights, at, strict=True))
    return t, 70 + level + _noise(rng, len(t), sd=0.1)


def _ratchet(rng: Generator, *, seconds: float) -> Points:
    """Return a heap as high as its largest request so far, of which the largest is 300 MiB."""
    t = _clock(seconds, seconds / 600)
    requests = np.minimum(rng.pareto(1.5, len(t)) * 4, 300)
    return t, 100 + np.maximum.accumulate(requests) + _noise(rng, len(t), sd=0.1)


def _ramp(rng: Generator, *, seconds: float) -> Points:
    """Return memory that follows the number of users, up and down again."""
    t = _clock(seconds, seconds / 600)
    users = np.interp(t / seconds, [0, 0.1, 0.4, 0.6, 0.9, 1], [0, 0, 1, 1, 0, 0])
    return t, 90 + 50 * users + _noise(rng, len(t), sd=0.3)


def _batches(rng: Generator, *, seconds: float, every: float, height: float) -> Points:
    """Return a buffer that rises evenly and is flushed."""
    t = _clock(seconds, seconds / 600)
    return t, 60 + height * _age(t + rng.uniform(0, every), every) / every


def _bounded() -> Iterator[Series]:
    make: Any = partial
    yield Series("level", "flat", make(_level, seconds=90, every=1, sd=0.05), 0, True)
    yield Series("level_mprof", "flat", make(_level, seconds=60, every=0.1, sd=0.02), 0, True,
                 "mprof")  # fmt: skip
    yield Series("level_day", "flat", make(_level, seconds=DAY, every=60, sd=0.3), 0, True)
    yield Series("level_tails", "flat", make(_level, seconds=HOUR, every=5, sd=0.3, tail=2), 0,
                 True)  # fmt: skip
    yield Series("level_memory", "flat", make(_level, seconds=6 * HOUR, every=30, sd=1, phi=0.95),
                 0, True)  # fmt: skip
    yield Series("level_long_memory", "flat", make(_level, seconds=DAY, every=60, sd=4, phi=0.99),
                 0, True)  # fmt: skip
    yield Series("level_gaps", "flat", make(_gaps, rate=0), 0, True)
    yield Series("level_final_zero", "flat", make(_level, seconds=300, every=1, sd=0.05), 0, True,
                 "mprof", True)  # fmt: skip
    yield Series("level_spikes", "flat", make(_spikes, seconds=2 * HOUR, rate=0, height=30), 0,
                 True)  # fmt: skip
    yield Series("level_wave", "wave", make(_waving, seconds=600, every=1, rate=0, height=1,
                                            period=75), 0, True)  # fmt: skip
    yield Series("level_day_wave", "wave", make(_waving, seconds=3 * DAY, every=60, rate=0,
                                                height=8, period=DAY), 0, True)  # fmt: skip
    yield Series("level_day_high", "wave", make(_waving, seconds=3 * DAY, every=60, rate=0,
                                                height=60, period=DAY), 0, True)  # fmt: skip
    yield Series("level_day_and_half", "wave", make(_waving, seconds=1.5 * DAY, every=60, rate=0,
                                                    height=20, period=DAY), 0, True)  # fmt: skip
    yield Series("level_restarts", "restarts", make(_restarted, rate=0, every=12 * HOUR), 0, True,
                 life_s=12 * HOUR)  # fmt: skip
    yield Series("restarts_with_warm_up", "restarts", make(_restarted, rate=0, every=8 * HOUR,
                                                           warm=40), life_s=8 * HOUR)  # fmt: skip
    yield Series("level_saw", "saw", make(_sawing, seconds=1200, every=2, rate=0, height=20,
                                          period=45), 0, True)  # fmt: skip
    yield Series("level_saw_slow", "saw", make(_sawing, seconds=6 * HOUR, every=30, rate=0,
                                               height=12, period=1700), 0, True)  # fmt: skip
    yield Series("batches", "saw", make(_batches, seconds=HOUR, every=900, height=40))
    yield Series("warm_third", "warm-up", make(_warming, seconds=900, height=60, share=0.33))
    yield Series("warm_most", "warm-up", make(_warming, seconds=900, height=60, share=0.8))
    yield Series("filling_half", "cache", make(_filling, seconds=600, height=30, share=0.5))
    yield Series("filling_most", "cache", make(_filling, seconds=HOUR, height=100, share=0.75))
    yield Series("filling_names", "cache", make(_collecting, seconds=HOUR, names=1000, draws=5000))
    yield Series("step_once", "steps", make(_steps, seconds=HOUR, heights=(25,)))
    yield Series("steps_both_ways", "steps", make(_steps, seconds=HOUR, heights=(25, 10, -20)))
    yield Series("ratchet", "steps", make(_ratchet, seconds=6 * HOUR))
    yield Series("users", "load", make(_ramp, seconds=6 * HOUR))
