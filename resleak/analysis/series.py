"""Per-gauge time series, extracted from the traces of replicated runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from resleak.analysis import statistics
from resleak.analysis.statistics import FEWEST, Points, Runs
from resleak.workload.gauges import BUILTIN

#: Gauges of bytes: a process without any has ended.
_BYTES = {one.name for one in BUILTIN.values() if one.family in ("memory", "resident")}
_MEMORY = {one.name for one in BUILTIN.values() if one.family in ("memory", "objects", "resident")}
DAY_S = 86_400.0
#: Restarts are at least so far apart; garbage collections and flushes are not.
_LIFE_S = 4 * 3600.0
#: A restart takes at least this share of the range of all readings, down to as near its lowest.
_FALL = 0.5
#: Lives shorter than this share of the longest one say nothing of their own.
_MIN_LIFE = 0.45
#: Bins of the fit of a daily wave, and the start of a life that it leaves out.
_BIN_S, _WARM_S = 900.0, 3600.0
#: Largest share of the residual variance that a daily wave may leave.
_MAX_LEFT = 0.25
#: Share of the readings that must have a count of requests, from the first one on.
_MIN_COUNTED = 0.9
#: Steps at the start of a run that ended at a limit in which modules may be imported.
_IMPORTS = 2


@dataclass(frozen=True)
class Series:
    """One gauge of one variant in all its runs.

    `steady` has step and value after each collection of the steady state, per run (of a count the
    lowest value until the next one), or, where steps are seconds, per life between restarts;
    `steps` those of each step from half the warm-up on; `settled` is the median last reading after
    the load, `drop` the median drop at a collection. Where requests are counted, `work` has seconds
    and their number by then, and `unthinned` all points of the only run.
    """

    steady: Runs
    steps: Runs
    start: float
    settled: float
    drop: float
    peak: float
    at_end: float
    per: str = "step"
    readings: int = 0
    limited: bool = False
    work: Points | None = None
    unthinned: Points | None = None

    @property
    def has_load(self) -> bool:
        """True if requests were counted over the steady state."""
        is_long = len(self.steady) == 1 and len(self.steady[0]) >= FEWEST
        return bool(self.work is not None and is_long and self.pace > 0)

    @property
    def pace(self) -> float:
        """Mean requests per second of the steady state."""
        ends = self.steady[0][[0, -1], 0]
        return float(np.diff(self.requests(ends))[0] / np.ptp(ends))

    def requests(self, seconds: np.ndarray) -> np.ndarray:
        """Return the requests counted by these seconds."""
        assert self.work is not None
        return np.asarray(np.interp(seconds, self.work[:, 0], self.work[:, 1]))

    def by_work(self) -> Series:
        """Return the same over requests, in seconds that they take at their mean pace."""
        assert self.unthinned is not None
        seconds, values = self.unthinned.T
        at = self.requests(seconds) / self.pace
        points = np.column_stack([at, values])[np.diff(at, prepend=-1.0) > 0]
        return replace(self, steady=[statistics.thin(points)], steps=[], work=None)

    def planted(self, rate: float) -> Series:
        """Return the same series with a leak of this rate in it."""

        def grown(p: Points) -> Points:
            return np.column_stack([p[:, 0], p[:, 1] + rate * (p[:, 0] - p[0, 0])])

        steady, steps = ([*map(grown, runs)] for runs in (self.steady, self.steps))
        unthinned = None if self.unthinned is None else grown(self.unthinned)
        return replace(self, steady=steady, steps=steps, unthinned=unthinned)


class Readings:
    """One variant's trace as plain arrays, split once for all gauges; `per` is a step's unit."""

    def __init__(self, trace: pd.DataFrame) -> None:
        self._trace = trace
        self.per = str(trace.attrs.get("per", "step"))
        self.limited = bool(trace.attrs.get("limited"))
        self.run, self.step, self.block = (
            trace[name].to_numpy() for name in ("run", "step", "block")
        )
        self.runs = np.unique(self.run)
        blocks = self.run * (self.block.max(initial=0) + 1) + self.block
        #: Of each reading, the number of its block among those of all runs.
        self.place = np.unique(blocks, return_inverse=True)[1]
        phase, moment = trace["phase"].to_numpy(object), trace["moment"].to_numpy(object)
        self.steady, self.settle = phase == "steady", phase == "settle"
        self.before = moment == "before_collect"
        # A process that is watched from outside does not collect garbage for its readings.
        self.after = (moment == "after_collect") | (moment == "reading")
        self.stepped = moment == "step"

    def has(self, gauge: str) -> bool:
        """Return whether there is any reading of a gauge."""
        return gauge in self._trace and not np.isnan(self._values(gauge)).all()

    def _values(self, gauge: str) -> np.ndarray:
        values = self._trace[gauge].to_numpy(dtype=float)
        # Recorders write zeros once a process has ended: these are no readings of it.
        return np.where(values == 0, np.nan, values) if gauge in _BYTES else values

    def series(self, gauge: str) -> Series:
        """Return the time series of one gauge."""
        values = self._values(gauge)
        after = self.after & ~np.isnan(values)
        by_run = [after & (self.run == run) for run in self.runs]
        steady = [self._points(values, rows, gauge not in _MEMORY) for rows in by_run]
        # A run that ended before its steady state has no retained value to compare.
        lasted = [rows for rows, points in zip(by_run, steady, strict=True) if len(points)]
        by_run, steady = lasted or by_run, [points for points in steady if len(points)]
        work = self._work() if len(steady) == 1 else None
        if self.per == "s" and gauge in _BYTES:
            parts = [life for points in steady for life in lives(points)]
        else:
            parts = [*map(statistics.thin, steady)]
        return Series(
            steady=parts,
            steps=_each_step(self, values),
            start=_median(values[rows][:1] for rows in by_run),
            settled=_median(values[rows & self.settle][-1:] for rows in by_run),
            drop=_drop(self, values),
            peak=float(np.nanmax(values)),
            at_end=_median(values[rows][-1:] for rows in by_run),
            per=self.per,
            limited=self.limited,
            readings=max(map(len, steady), default=0),
            work=work,
            unthinned=None if work is None else steady[0],
        )

    def _work(self) -> np.ndarray | None:
        """Return seconds and counted requests of a single run; None if they are not known."""
        if self.per != "s" or len(self.runs) > 1 or not self.has("requests"):
            return None
        points = self._trace[["step", "requests"]].to_numpy(dtype=float)
        known = ~np.isnan(points[:, 1])
        since = known[known.argmax() :]  # a service that starts has answered nothing before
        tail = known[-max(1, len(known) // 10) :]
        is_known = since.mean() >= _MIN_COUNTED and tail.any()
        return points[known] if is_known else None

    def _points(self, values: np.ndarray, after: np.ndarray, lowest: bool) -> np.ndarray:
        """Return the reading after each steady collection of a run, or the lowest till the next."""
        # Counts swing with the load, their low readings least. Low readings of memory only show
        # what was freed just before.
        at = np.flatnonzero(after & self.steady)
        last = np.append(np.diff(self.step[at]) != 0, True)[: len(at)]
        at = at[last]
        points = np.column_stack([self.step[at], values[at]]).astype(float)
        if lowest and len(at):
            rows = self.steady & self.stepped & ~np.isnan(values) & (self.run == self.run[at[0]])
            begins = np.searchsorted(self.step[rows], points[:, 0], side="right")
            blocks = np.split(values[rows], begins)[1:]
            both = zip(points[:, 1], blocks, strict=True)
            points[:, 1] = [min([reading, *block]) for reading, block in both]
        return points


def _each_step(readings: Readings, values: np.ndarray) -> Runs:
    """Return each run's readings per step, or else per collection, after half the warm-up."""
    first = np.max(readings.step[~readings.steady & readings.stepped], initial=0) / 2
    if readings.limited:  # which may be before the warm-up has ended
        first = min(first, _IMPORTS)
    known = ~np.isnan(values) & (readings.step > first) & ~readings.settle
    rows = known & readings.stepped
    rows = rows if rows.any() else known & readings.after
    by_run = [rows & (readings.run == run) for run in readings.runs]
    return [np.column_stack([readings.step[one], values[one]]) for one in by_run if one.any()]


def _drop(readings: Readings, values: np.ndarray) -> float:
    """Return the median drop at a collection, as far as it accumulated over the block's steps."""
    # What is there after the first step already waits for something else: the system still counts a
    # joined thread for a moment.
    first, before, after = (
        _by_block(readings, values, rows)
        for rows in (readings.stepped, readings.before, readings.after)
    )
    falls = before - after
    size = float(readings.stepped.sum() / max(1, readings.after.sum()))
    if size > 1.5:  # in a block of one step nothing accumulates
        accumulated = (before - first) * size / (size - 1)
        falls = np.minimum(falls, np.nan_to_num(accumulated))
    falls = falls[~np.isnan(falls)]
    return float(np.median(falls)) if len(falls) else 0.0


def _by_block(readings: Readings, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the first of these readings in each steady block of each run; NaN without one."""
    known = np.flatnonzero(rows & readings.steady & ~np.isnan(values))[::-1]
    first = np.full(readings.place.max(initial=0) + 1, np.nan)
    first[readings.place[known]] = values[known]  # the last one that is assigned stays
    return first


def _median(values: Iterable[np.ndarray]) -> float:
    joined = np.concatenate(list(values))
    return float(np.median(joined)) if len(joined) else np.nan


def lives(points: Points) -> Runs:
    """Return the readings of each life of a restarted process by age, without a daily wave."""
    begins = _restarts(points)
    points = np.column_stack([points[:, 0], points[:, 1] - _daily_wave(points, begins)])
    parts = np.split(points, begins)
    longest = max(np.ptp(part[:, 0]) for part in parts)
    long = [part for part in parts if np.ptp(part[:, 0]) >= _MIN_LIFE * longest]
    size = -(-max(map(len, long)) // statistics.MOST)
    if len(long) > 1:
        long = [np.column_stack([part[:, 0] - part[0, 0], part[:, 1]]) for part in long]
    # The lowest reading of each group of neighbours stands for them; all groups are of one size.
    groups = [part[len(part) % size :].reshape(-1, size, 2) for part in long]
    return [np.column_stack([one[..., 0].mean(axis=1), one[..., 1].min(axis=1)]) for one in groups]


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
    waves = daily_shapes(t)
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


def daily_shapes(t: np.ndarray) -> np.ndarray:
    """Return a wave of one day with one harmonic, shape (readings, 4)."""
    angle = 2 * np.pi * t[:, None] / DAY_S * [1, 2]
    return np.hstack([np.cos(angle), np.sin(angle)])
