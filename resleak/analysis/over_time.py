"""Judge series over time: for many looks, beside a daily wave, and with load as a covariate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from resleak.analysis import statistics
from resleak.analysis.gauge_verdict import ALPHA, Decision
from resleak.analysis.series import DAY_S, Series, daily_shapes
from resleak.analysis.statistics import Points, Rate, Runs
from resleak.workload.verdict_words import CLEAN, UNDECIDED

#: A part of a day that may hold the whole rise of a daily wave.
_PART_OF_A_DAY_S = DAY_S / 3
#: False-alarm rate over all looks at a series, and the readings of the first look.
_ALL_LOOKS, _FIRST_LOOK = 0.01, 12
#: Share of the range of readings below which growth is noise, and the probability of more growth
#: than was excluded.
_NOISE, _UNSEEN = 0.25, 0.01
#: Ratio of the load in the last third of a series to that in its first third, above which it rose.
_RISEN = 1.1
#: Standard errors of a ratio of two counts of random arrivals that are allowed for.
_ERRORS = 3.0
#: A gauge that follows the load grows at most with this power of it: queues grow faster than their
#: arrivals.
_POWER = 2.0
#: Points over which the load is averaged, as a share of all: counts of requests are noisy.
_AVERAGED = 0.25
#: Smallest share of the variance of time that the load may leave unexplained, and of the growth.
_MIN_LEFT, _MIN_BESIDE = 0.2, 0.25
#: Largest variance of a count of random arrivals, as a share of what tells time and load apart.
_MAX_NOISE = 0.05
#: Share of the requests that make the last third of a series one with little load.
_SLACK = 1 / 4
#: The same of requests beside time, to tell which of both a leak follows.
_TOLD_APART = 1e-3


def level(series: Series) -> float:
    """Return the false-alarm rate of one look at a series."""
    if series.per != "s":
        return ALPHA
    # The level is spent over the doublings, so that all looks together keep to 1 %.
    # Howard, Ramdas, McAuliffe, Sekhon: Time-uniform, nonparametric, nonasymptotic confidence
    # sequences (2021), on stitching: 1 / ((k + 1) (k + 2)) over all k adds up to 1.
    doublings = max(0.0, np.log2(max(1, series.readings) / _FIRST_LOOK))
    return float(min(ALPHA, _ALL_LOOKS / ((doublings + 1) * (doublings + 2))))


def rate(runs: Runs, whole: Runs) -> Rate:
    """Return the growth rate of the steady state; over a part of a day, beside a daily wave."""
    plain = statistics.rate(runs)
    if len(whole) > 1 or not _PART_OF_A_DAY_S <= np.ptp(whole[0][:, 0]) < DAY_S:
        return plain
    value, half = statistics.slope_beside(runs[0], daily_shapes(runs[0][:, 0]))
    low, high = min(plain.low, value - half), max(plain.high, value + half)
    return replace(plain, low=low, high=high)


def is_level(rate: Rate, runs: Runs, rise: float) -> bool:
    """Return whether the change over the runs is surely below a rise, or below their noise."""
    most = max(abs(rate.value), abs(rate.low + rate.high) / 2)
    most += rate.strictness(_UNSEEN) * rate.half_width
    noise = float(np.median([np.ptp(points[:, 1]) for points in runs]))
    return most * statistics.span(runs) <= max(rise, _NOISE * noise)


def weighed(series: Series, clock: Decision, work: Decision) -> Decision:
    """Return the decision over time, corrected by the one over requests (`Series.by_work`)."""
    # A leak is one per request, or one over time while the load did not rise, and in both cases
    # more than a level that follows the load.
    pace, rate = series.pace, work.rate
    clock = clock._replace(per_request=(rate.value / pace, rate.low / pace, rate.high / pace))
    p = min(1.0, 2 * rate.p)  # the second of two tests
    grows_with_work = work.verdict == "leak" and p < ALPHA
    still_grows = work.verdict not in CLEAN or work.rate.low > 0
    t = series.steady[0][:, 0]
    begin, late, end = series.requests(np.array([t[0], t[0] + 2 / 3 * np.ptp(t), t[-1]]))
    more = f"about {statistics.span(series.steady):,.0f} more seconds at a constant load"
    if grows_with_work or (clock.verdict == "leak" and _rise(series) <= _RISEN):
        if _is_beyond_load(series):
            if clock.verdict != "leak":
                reason = "grows steadily with the requests and is not released"
                rate = replace(rate, p=p)
                clock = clock._replace(verdict="leak", reason=reason, rate=rate, since=work.since)
            return clock._replace(reason=f"{clock.reason}{_follows(series)}")
        why = "grows as the load does"
    elif clock.verdict == "leak":
        why = "grows while the load rises, but not per request"
    elif clock.verdict == "plateau" and still_grows and end - late < _SLACK * (end - begin):
        why = "grew, then stopped, as the load did"
    else:
        return clock
    return clock._replace(verdict=UNDECIDED, reason=f"{why}: {more} would decide")


def _rise(series: Series) -> float:
    """Return the requests of the last third / those of the first third: an upper limit."""
    t = series.steady[0][:, 0]
    counts = np.diff(series.requests(np.linspace(t[0], t[-1], 4)))
    first, last = np.maximum(counts[[0, 2]], counts.sum() / 300)
    return float(last / first * (1 + _ERRORS * np.sqrt(1 / first + 1 / last)))


def _is_beyond_load(series: Series) -> bool:
    """Return whether growth is more than that of a level which follows the load."""
    points = series.steady[0]
    parts = np.array_split(points[:, 1], 3)
    first, last = float(np.median(parts[0])), float(np.median(parts[-1]))
    if last > first * max(1.0, _rise(series) ** _POWER):
        return True
    load = np.gradient(series.requests(points[:, 0]), points[:, 0])  # requests per second
    width = max(1, round(_AVERAGED * len(load)))
    weights = np.convolve(np.ones(len(load)), np.ones(width), "same")
    averaged = np.convolve(load, np.ones(width), "same") / weights
    shapes = np.column_stack([load, averaged, np.maximum.accumulate(averaged)])
    left = _left(points[:, 0], shapes)
    # Where the load changes little, time stands for it better than the noisy counts of requests.
    noise = series.pace / (2 * width * float(np.median(np.diff(points[:, 0]))))
    if left < _MIN_LEFT or noise > _MAX_NOISE * left * averaged.var():
        return False
    beside = _beside(points, shapes)
    return beside.p < ALPHA and beside.value >= _MIN_BESIDE * statistics.rate([points]).value


def _follows(series: Series) -> str:
    """Say whether a leak follows the requests or the clock, where the load tells them apart."""
    by_time = series.steady[0]
    by_work = np.column_stack([series.requests(by_time[:, 0]), by_time[:, 1]])
    if _left(by_time[:, 0], by_work[:, :1]) < _TOLD_APART:
        return ""
    clock, work = _beside(by_time, by_work[:, :1]), _beside(by_work, by_time[:, :1])
    if (clock.p < ALPHA) == (work.p < ALPHA):
        return ""
    one, other = ("the requests", "time") if work.p < ALPHA else ("time", "the requests")
    return f"; with {one} rather than with {other}"


def _beside(points: Points, shapes: np.ndarray) -> Rate:
    value, half = statistics.slope_beside(points, shapes)
    rate = Rate(value, value - half, value + half, 1.0, statistics.FREEDOM)
    return replace(rate, p=rate.p_above(0.0))


def _left(x: np.ndarray, shapes: np.ndarray) -> float:
    """Return the share of the variance of `x` that shapes leave unexplained."""
    design = np.column_stack([np.ones(len(x)), shapes])
    rest = x - design @ np.linalg.lstsq(design, x, rcond=None)[0]
    return float(rest @ rest / np.sum((x - x.mean()) ** 2))
