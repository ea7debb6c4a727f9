"""Long series of one process: lives between restarts, daily waves, and a level for many looks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from resleak.analysis import statistics
from resleak.analysis.statistics import FEWEST, Points, Rate, Runs

DAY_S = 86_400.0
#: A part of a day that may hold the whole rise of a daily wave.
_PART_OF_A_DAY_S = DAY_S / 3
#: Restarts are at least so far apart; garbage collections and flushes are not.
_LIFE_S = 4 * 3600.0
#: A restart takes at least this share of the range of all readings, down to as near its lowest.
_FALL = 0.5
#: Lives shorter than this share of the longest one say nothing of their own.
_MIN_LIFE = 0.45
#: Most points that a life is thinned to.
_MOST = 40
#: Bins of the fit of a daily wave, and the start of a life that it leaves out.
_BIN_S, _WARM_S = 900.0, 3600.0
#: Largest share of the residual variance that a daily wave may leave.
_MAX_LEFT = 0.25
#: False-alarm rate over all looks at a series, and the readings of the first look.
_ALL_LOOKS, _FIRST_LOOK = 0.01, 12
#: Share of the range of readings below which growth is noise, and the probability of more growth
#: than was excluded.
_NOISE, _UNSEEN = 0.25, 0.01


def lives(points: Points) -> Runs:
    """Return the readings of each life of a restarted process by age, without a daily wave."""
    begins = _restarts(points)
    points = np.column_stack([points[:, 0], points[:, 1] - _daily_wave(points, begins)])
    parts = np.split(points, begins)
    longest = max(np.ptp(part[:, 0]) for part in parts)
    long = [part for part in parts if np.ptp(part[:, 0]) >= _MIN_LIFE * longest]
    size = -(-max(map(len, long)) // _MOST)
    if len(long) > 1:
        long = [np.column_stack([part[:, 0] - part[0, 0], part[:, 1]]) for part in long]
    return [_thinned(part, size) for part in long]


def level(alpha: float, readings: int) -> float:
    """Return the level of a test at a look after so many readings.

    The level is spent over the doublings of a series, so that all looks together keep to 1 %.
    """
    # Howard, Ramdas, McAuliffe, Sekhon: Time-uniform, nonparametric, nonasymptotic confidence
    # sequences (2021), on stitching: 1 / ((k + 1) (k + 2)) over all k adds up to 1.
    doublings = max(0.0, np.log2(max(1, readings) / _FIRST_LOOK))
    return float(min(alpha, _ALL_LOOKS / ((doublings + 1) * (doublings + 2))))


def rate(runs: Runs, whole: Runs) -> Rate:
    """Return the growth rate of the steady state; over a part of a day, beside a daily wave."""
    plain = statistics.rate(runs)
    if len(whole) > 1 or not _PART_OF_A_DAY_S <= np.ptp(whole[0][:, 0]) < DAY_S:
        return plain
    value, half = statistics.slope_beside(runs[0], _daily_shapes(runs[0][:, 0]))
    low, high = min(plain.low, value - half), max(plain.high, value + half)
    return replace(plain, low=low, high=high)


def is_level(rate: Rate, runs: Runs, rise: float) -> bool:
    """Return whether the change over the runs is surely below a rise, or below their noise."""
    most = max(abs(rate.value), abs(rate.low + rate.high) / 2)
    most += rate.strictness(_UNSEEN) * rate.half_width
    noise = float(np.median([np.ptp(points[:, 1]) for points in runs]))
    return most * statistics.span(runs) <= max(rise, _NOISE * noise)


def _thinned(points: Points, size: int) -> Points:
    """Return the lowest reading of each group of neighbours; all groups are of one size."""
    groups = points[len(points) % size :].reshape(-1, size, 2)
    return np.column_stack([groups[:, :, 0].mean(axis=1), groups[:, :, 1].min(axis=1)])


def _restarts(points: Points) -> list[int]:
    """Return the index of the first reading after each restart."""
    t, values = points.T
    low, reach = values.min(), np.ptp(values)
    falls = np.flatnonzero(-np.diff(values) > _FALL * reach) + 1
    falls = falls[values[falls] < low + _FALL * reach]
    if not len(falls) or np.diff([t[0], *t[falls]]).min() < _LIFE_S:
        return []
    return [int(index) for index in falls]


def _daily_wave(points: Points, begins: list[int]) -> np.ndarray:
    """Return the daily wave of a series of at least a day; zeros if it has none."""
    t, values = points.T
    if np.ptp(t) < DAY_S:
        return np.zeros(len(t))
    life = np.searchsorted(begins, np.arange(len(t)), side="right")
    age = t - t[[0, *begins]][life]
    used = np.flatnonzero(age >= min(_WARM_S, age.max() / 4))
    place = life[used] * (np.ptp(t) // _BIN_S + 2) + t[used] // _BIN_S
    groups = np.split(used, np.flatnonzero(np.diff(place)) + 1)
    at = np.array([group[len(group) // 2] for group in groups])
    binned = np.array([np.median(values[group]) for group in groups])
    waves = _daily_shapes(t)
    trend = np.column_stack([life[at, None] == np.unique(life), age[at]]).astype(float)
    with_waves = np.hstack([trend, waves[at]])
    if len(at) <= with_waves.shape[1] + FEWEST:
        return np.zeros(len(t))
    fits = [np.linalg.lstsq(design, binned, rcond=None)[0] for design in (trend, with_waves)]
    left = [
        float(np.sum((binned - design @ fit) ** 2))
        for design, fit in zip((trend, with_waves), fits, strict=True)
    ]
    if left[1] > _MAX_LEFT * left[0]:
        return np.zeros(len(t))
    wave = waves @ fits[1][-waves.shape[1] :]
    return np.asarray(wave - wave.mean())


def _daily_shapes(t: np.ndarray) -> np.ndarray:
    """Return a wave of one day with one harmonic, shape (readings, 4)."""
    angle = 2 * np.pi * t[:, None] / DAY_S * [1, 2]
    return np.hstack([np.cos(angle), np.sin(angle)])
