"""The verdict rule: growth statistics of replicated runs become one word per gauge.

Cut the warm-up; test whether the steady state grows above the noise floor, whether that lasts (no
saturation), and whether it is freed (by garbage collections, or when the load stops). Then
reconcile the gauges of a variant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from resleak import formatting
from resleak.analysis import over_time, statistics, stopped
from resleak.analysis.gauge_verdict import ALPHA, MIN_DROP, Decision, GaugeVerdict, by_gauge
from resleak.analysis.rows import Rows
from resleak.analysis.series import Readings, Series
from resleak.analysis.statistics import FEWEST, Rate, Runs
from resleak.workload.gauges import LIVE_MEMORY, Gauge
from resleak.workload.verdict_words import CLEAN, UNDECIDED, Verdict

#: Rate ratio (second half / first half) below which growth is saturating.
MIN_RATE_RATIO = 0.5
#: Retained share after the load stops, at or below which growth counts as drained.
MAX_DRAINED_SHARE = 0.1
#: Steps in a row, per run, after which growth at every step is certain.
_MIN_RISES = 20
#: The same of a run that ended at a limit of the system, and the share of its steps.
_MIN_RISES_TO_LIMIT, _MIN_RISING = 4, 0.9
#: Collections in each half of a run that can tell slow growth of a count from a single rise.
_MIN_HALF = 10
#: Extra detection margins, as shares of the noise floor: of byte gauges (allocator size classes),
#: and of a single run.
_SIZE_CLASS_MARGIN, _SINGLE_RUN_MARGIN = 0.25, 0.25
#: Parts of a single run that must lie above each other.
_QUARTERS = 4
#: Factor from try to try of a detection limit of a single run, most tries, and a margin: it is
#: tried on thinned readings.
_LIMIT_STEP, _MOST_TRIES, _LIMIT_MARGIN = 1.5, 12, 1.2
#: Part of a run below which its steady state is late, and of a series over time.
_LATE, _LATE_S = 1 / 3, 2 / 3
#: Evidence for a leak beside something that fills, of a series over time: its noise has a memory.
_MIN_BIC_DIFFERENCE_S = 50.0
#: Part at the end of a series over which it must still grow, and share of its rate there.
_TAIL, _MIN_TAIL_RATE = 0.2, 0.5

Judged = tuple[Verdict, str]


def judge(traces: pd.DataFrame, gauges: Mapping[str, Gauge]) -> Rows[GaugeVerdict]:
    """Judge every gauge of every variant in a frame of `resleak.traces`; counters are skipped."""
    levels = [gauge for gauge in gauges.values() if gauge.kind == "level"]
    verdicts: list[GaugeVerdict] = []
    for variant, trace in traces.groupby("variant", sort=False):
        readings = Readings(trace)
        # Resident memory has no need of a low detection limit of its own beside live memory.
        beside_live = any(map(readings.has, LIVE_MEMORY))
        of_variant = [
            _judge_gauge(str(variant), gauge, readings.series(gauge.name), beside_live)
            for gauge in levels
            if readings.has(gauge.name)
        ]
        verdicts += _reconciled(of_variant)
    return Rows(GaugeVerdict, verdicts)


def calibrated(gauges: Mapping[str, Gauge], control: pd.DataFrame) -> dict[str, Gauge]:
    """Raise each noise floor to twice the rate of a do-nothing control on this machine."""
    rates = {one.gauge: abs(one.per_step) for one in judge(control, gauges)}
    return {
        name: replace(gauge, floor=max(gauge.floor, 2 * float(np.nan_to_num(rates.get(name, 0.0)))))
        for name, gauge in gauges.items()
    }


def replicate_slopes(trace: pd.DataFrame, gauge: str) -> np.ndarray:
    """Return the steady slope of each run (or life), or of both halves of fewer than three."""
    runs = [points for points in Readings(trace).series(gauge).steady if len(points) >= FEWEST]
    return statistics.replicates(_steady_state(runs)) if runs else np.empty(0)


def paired_slope_differences(before: pd.DataFrame, after: pd.DataFrame, gauge: str) -> np.ndarray:
    """Return the slope of the difference of each pair of runs with the same seed."""
    # Noise that both runs share cancels out. Empty if the runs cannot be paired: a seed repeats the
    # steps, not what happens to a service over time.
    if before.attrs.get("per") == "s":
        return np.empty(0)
    sides = [Readings(side).series(gauge).steady for side in (before, after)]
    if [run[:, 0].tolist() for run in sides[0]] != [run[:, 0].tolist() for run in sides[1]]:
        return np.empty(0)
    begin = max((statistics.warmup_end(side) for side in sides if side), default=0.0)
    differences = [
        np.column_stack([old[:, 0], new[:, 1] - old[:, 1]])[old[:, 0] >= begin]
        for old, new in zip(*sides, strict=True)
    ]
    enough = [points for points in differences if len(points) >= FEWEST]
    return statistics.replicates(enough) if enough else np.empty(0)


def noise_floor(gauge: Gauge, trace: pd.DataFrame) -> float:
    """Return the smallest rate of a gauge that counts over the steps of one variant's trace."""
    series = Readings(trace).series(gauge.name)
    return _noise_floor(gauge, series.steady, series.per) if series.steady else gauge.floor


def _judge_gauge(variant: str, gauge: Gauge, series: Series, beside_live: bool) -> GaugeVerdict:
    found = _decide(gauge, series)
    limit = _detection_limit(gauge, series, found)
    if found.verdict in CLEAN:
        if stopped.missing_rest(gauge, series):  # a table that doubles has room for as much again
            limit = max(limit, 2 * stopped.late_rise(series) / statistics.span(series.steady))
        is_vouched_for = gauge.family == "resident" and beside_live
        if not is_vouched_for and stopped.hides_growth(gauge, series, limit):
            more = _decides(series, statistics.span(series.steady))
            reason = f"growth that matters may be hidden: {more}"
            found = found._replace(verdict=UNDECIDED, reason=reason)
    rate = found.rate
    return GaugeVerdict(
        variant=variant, gauge=gauge.name, family=gauge.family, verdict=found.verdict,
        per_step=rate.value, low=rate.low, high=rate.high, unit=gauge.unit,
        per_request=found.per_request[0], per_request_low=found.per_request[1],
        per_request_high=found.per_request[2],
        detection_limit=limit, since=found.since,
        start=series.start, peak=series.peak, at_end=series.at_end,
        held_between_collections=series.drop, p=rate.p,
        runs=len(series.steady), reason=found.reason, per=series.per,
    )  # fmt: skip


def _decide(gauge: Gauge, series: Series) -> Decision:
    decision = _decide_alone(gauge, series)
    if series.has_load:
        return over_time.weighed(series, decision, _decide_alone(gauge, series.by_work()))
    return decision


def _decide_alone(gauge: Gauge, series: Series) -> Decision:
    """Decide on a series whatever the load was."""
    if not series.steady or min(len(points) for points in series.steady) < FEWEST:
        return _judge_short_run(gauge, series)
    steady = _steady_state(series.steady)
    rate = over_time.rate(steady, series.steady) if series.per == "s" else statistics.rate(steady)
    floor = _noise_floor(gauge, steady, series.per)
    has_even_jumps = stopped.has_even_jumps(gauge, series)
    if not has_even_jumps:
        # Looks at a growing series are many tests.
        p = _probability(steady, rate, floor) * ALPHA / over_time.level(series)
        rate = replace(rate, p=min(1.0, p))
    verdict, reason = _verdict(gauge, series, steady, rate, floor, has_even_jumps)
    return Decision(verdict, reason, rate, floor, float(steady[0][0, 0]))


def _detection_limit(gauge: Gauge, series: Series, found: Decision) -> float:
    """Return the rate from which a leak would almost certainly have been found."""
    rate, floor = found.rate, found.floor
    margin = _SIZE_CLASS_MARGIN * floor if gauge.family == "memory" else 0.0
    if len(series.steady) >= statistics.ENOUGH_RUNS and series.per != "s":
        return floor + margin + 2 * rate.half_width
    # Growth of a single run must also pass the test on chance, which asks for more.
    reach = (1 + rate.strictness(over_time.level(series))) * rate.half_width
    limit = (1 + _SINGLE_RUN_MARGIN) * floor + reach
    if series.per != "s" or found.verdict == "leak" or math.isnan(limit):
        return limit
    # And have the shape of a leak: planted into these readings it must be found.
    tries = (limit * _LIMIT_STEP**k for k in range(_MOST_TRIES))
    leaks = (rate for rate in tries if _decide(gauge, series.planted(rate)).verdict == "leak")
    return next(leaks, math.nan) * _LIMIT_MARGIN


def _judge_short_run(gauge: Gauge, series: Series) -> Decision:
    """Judge a run too short for a rate: only a count that grows at every step is certain."""
    count = min((len(points) for points in series.steady), default=0)
    what = formatting.counted(count, "collection" if series.per == "step" else "reading")
    more = f"run more {formatting.several(series.per)}"
    reason = f"only {what} in the steady state, of the {FEWEST} needed: {more}"
    if series.per == "s" and count > 1:
        every = statistics.span(series.steady) / (count - 1)
        reason = f"{what}; {formatting.duration((FEWEST - count) * every)} more"
    undecided = Decision(UNDECIDED, reason, Rate(np.nan, np.nan, np.nan, 1.0), np.nan)
    if not gauge.is_counted or not series.steps:
        return undecided
    changes = np.concatenate([np.diff(points, axis=0) for points in series.steps])
    changes = changes[changes[:, 0] > 0]  # between readings of different steps
    rises = changes[:, 1] / changes[:, 0]
    # A pool would have to be larger than half the warm-up to look like that; at a limit the last
    # steps fail.
    fewest, share = (_MIN_RISES_TO_LIMIT, _MIN_RISING) if series.limited else (_MIN_RISES, 1.0)
    if len(rises) < fewest * len(series.steps) or np.mean(rises >= 1) < share:
        return undecided
    if _retained_share(series, series.steps) <= MAX_DRAINED_SHARE:
        return undecided
    rises = rises[rises >= 1]
    rate = Rate(float(rises.mean()), float(rises.min()), float(rises.max()), 0.5 ** len(rises))
    steps = len(series.steps[0])
    grew = f"grew at each of {steps} steps and is not released"
    reason = f"{grew}; a pool of more than {steps} would look the same"
    return Decision("leak", reason, rate, 0.0)


def _steady_state(runs: Runs) -> Runs:
    """Return the part of each run after its warm-up."""
    begin = statistics.warmup_end(runs)
    # Lives of a process differ in length.
    starts = [min(np.searchsorted(points[:, 0], begin), len(points) - FEWEST) for points in runs]
    return [points[max(0, start) :] for points, start in zip(runs, starts, strict=True)]


def _noise_floor(gauge: Gauge, steady: Runs, per: str) -> float:
    """Return the smallest rate that counts: the gauge's, or its smallest rise over these steps."""
    span = statistics.span(steady)
    if per != "s":
        return max(gauge.floor, gauge.min_rise / span) if span else gauge.floor
    # The gauge's floor was measured per step of an idle process; it says nothing about time. Noise
    # of several lives averages out.
    return float(gauge.min_rise / span / np.sqrt(len(steady))) if span else 0.0


def _verdict(
    gauge: Gauge, series: Series, steady: Runs, rate: Rate, floor: float, has_even_jumps: bool
) -> Judged:
    is_retained = _retained_share(series, steady) > MAX_DRAINED_SHARE
    more = _more(series, steady)
    if has_even_jumps and is_retained:
        return "leak", "grows in equal jumps and rests in between"
    if rate.low > floor and rate.p < ALPHA:
        return _judge_growth(gauge, series, steady, floor)
    if gauge.is_counted and is_retained and _rises_in_both_halves(series):
        return "leak", "grows now and then, in both halves of the run, and never shrinks"
    if rate.value > floor and rate.low > 0 and rate.p < 0.05:
        return UNDECIDED, f"grows, but not certainly above the noise floor: {more}"
    if _starts_to_grow(steady, floor):
        return UNDECIDED, f"starts to grow in the last blocks: {_more(series, steady, 1.0)}"
    if gauge.is_counted and series.drop >= MIN_DROP:
        return "deferred", "grows between garbage collections and falls at each"
    if series.per == "s":
        return _judge_timed(gauge, series, steady, rate, floor)
    if rate.low > gauge.floor and rate.value <= floor and rate.p < ALPHA:
        more = _more(series, steady, floor / rate.value - 1)
        return UNDECIDED, f"grows by less than counts so far: {more}"
    rise = max(points[:, 1].max() for points in series.steady) - series.start
    if rise <= gauge.rise:
        return "flat", "no growth above the noise floor"
    if stopped.late_rise(series) > gauge.rise and (missing := stopped.missing_rest(gauge, series)):
        return UNDECIDED, f"grew in jumps, and has not rested for long: {_decides(series, missing)}"
    # Where growth is certain, a small rise at the end is no sign that it has stopped.
    is_growing = rate.low > 0 and rate.p < ALPHA
    if stopped.rise_at_end(series) < max(0.0 if is_growing else gauge.rise, rise / 4):
        return "plateau", "grew, then stopped"
    return UNDECIDED, f"grew, and has not certainly stopped: {more}"


def _judge_timed(gauge: Gauge, series: Series, steady: Runs, rate: Rate, floor: float) -> Judged:
    """Tell what certainly does not grow over time from what was not shown to grow."""
    if rate.low > 0 and rate.value <= floor and statistics.climb_p(steady) < ALPHA:
        more = _more(series, steady, floor / rate.value - 1)
        return UNDECIDED, f"grows by less than counts so far: {more}"
    more = _more(series, steady)
    rise = stopped.late_rise(series)
    is_level = over_time.is_level(rate, steady, gauge.rise)
    if rise <= gauge.rise and is_level:
        return "flat", "no growth above the noise floor"
    if rise <= gauge.rise:
        return UNDECIDED, f"growth cannot be excluded: {more}"
    if missing := stopped.missing_rest(gauge, series):
        return UNDECIDED, f"grew in jumps, and has not rested for long: {_decides(series, missing)}"
    tail = [points[-max(FEWEST, len(points) // 3) :] for points in series.steady]
    if is_level or over_time.is_level(statistics.rate(tail), tail, gauge.rise):
        return "plateau", "grew, then stopped"
    return UNDECIDED, f"grew, and has not certainly stopped: {more}"


def _judge_growth(gauge: Gauge, series: Series, steady: Runs, floor: float) -> Judged:
    """Tell a leak from significant growth that is none."""
    more, late = _more(series, steady), _LATE_S if series.per == "s" else _LATE
    if len(steady[0]) < late * len(series.steady[0]):  # the part before may grow as certainly
        pairs = zip(series.steady, steady, strict=True)
        early = [run[: len(run) - len(rest)] for run, rest in pairs]
        early = [run for run in early if len(run) >= FEWEST]
        rate = statistics.rate(early) if early else None
        if rate is None or rate.low <= floor or _probability(early, rate, floor) >= ALPHA:
            return UNDECIDED, f"started to grow late in the run: {more}"
    if stopped.has_few_jumps(gauge, series, floor):
        return UNDECIDED, f"grows in a few unequal jumps: {more}"
    if stopped.fading(steady) < MIN_RATE_RATIO:
        return UNDECIDED, f"still grows, but ever more slowly: {more}"
    margin = _MIN_BIC_DIFFERENCE_S if series.per == "s" else stopped.MIN_BIC_DIFFERENCE
    if stopped.saturates(series.steady, margin):
        return UNDECIDED, f"grows like something that fills up: {more}"
    if gauge.is_counted and _retained_share(series, steady) <= MAX_DRAINED_SHARE:
        return "deferred", "grows under load and drains when the load stops"
    if len(steady) < statistics.ENOUGH_RUNS and not _grows_throughout(series, steady):
        return UNDECIDED, f"grows, but not throughout: {more}"
    if series.per == "s":
        tail = [points[-max(FEWEST, round(_TAIL * len(points))) :] for points in steady]
        if statistics.rate(tail).high < _MIN_TAIL_RATE * statistics.rate(steady).value:
            return UNDECIDED, f"grew, and may just have stopped: {more}"
    return "leak", "grows steadily and is not released"


def _grows_throughout(series: Series, steady: Runs) -> bool:
    """Return whether each quarter of each run lies above the one before."""
    # A part of a wave grows too, but not throughout, and it falls before that.
    for run, points in zip(series.steady, steady, strict=True):
        rises = np.diff([np.median(part) for part in np.array_split(points[:, 1], _QUARTERS)])
        fall = run[0, 1] - run[: len(run) - len(points) + 1, 1].min()
        if rises.min() < rises.mean() / 3 or fall > rises.sum() / 3:
            return False
    return True


def _rises_in_both_halves(series: Series) -> bool:
    """Return whether a count rose in both halves of each run and never fell."""
    halves = [half for run in series.steady for half in statistics.halves(run)]
    rises = [np.diff(half[:, 1]) for half in halves]
    is_long = min(len(rise) for rise in rises) >= _MIN_HALF
    return is_long and all(rise.sum() >= 1 and rise.min() >= 0 for rise in rises)


def _probability(runs: Runs, rate: Rate, floor: float) -> float:
    """Return the probability of such growth by chance."""
    # Noisy series must also exceed the noise floor: Kendall's test is anti-conservative under
    # autocorrelation. Series that never fall need not.
    falls = any((np.diff(points[:, 1]) < 0).any() for points in runs)
    return max(rate.p, rate.p_above(floor)) if falls else rate.p


def _starts_to_grow(steady: Runs, floor: float) -> bool:
    """Return whether nearly each of the last blocks rose in every run, beyond all before them."""
    for points in steady:
        tail = np.diff(points[-FEWEST:], axis=0)
        rises = np.sum(tail[:, 1] > floor * tail[:, 0]) >= FEWEST - 2
        if not rises or points[-1, 1] - points[-FEWEST, 1] <= np.ptp(points[: 1 - FEWEST, 1]):
            return False
    return True


def _retained_share(series: Series, runs: Runs) -> float:
    """Return the share of the growth that is left after the load; NaN if nothing was read then."""
    first = float(np.median([points[0, 1] for points in runs]))
    last = float(np.median([points[-1, 1] for points in runs]))
    return (series.settled - first) / (last - first) if last > first else 1.0


def _more(series: Series, steady: Runs, factor: float = 2.0) -> str:
    return _decides(series, factor * statistics.span(steady))


def _decides(series: Series, count: float) -> str:
    return f"about {count:,.0f} more {formatting.several(series.per)} would decide"


def _reconciled(verdicts: list[GaugeVerdict]) -> list[GaugeVerdict]:
    """Return the verdicts of one variant without growth that others deny: some count the same."""
    named = by_gauge(verdicts)
    if "heap" in named:
        named["heap"] = _heap_with_parts(named)
    decided = [_resident_with_live(one, named) for one in named.values()]
    adjusted = statistics.holm(np.array([one.p for one in decided])).tolist()
    return [
        replace(one, p=p, verdict=UNDECIDED, reason="not significant among so many gauges")
        if one.is_leak and p >= ALPHA
        else replace(one, p=p)
        for one, p in zip(decided, adjusted, strict=True)
    ]


def _heap_with_parts(named: dict[str, GaugeVerdict]) -> GaugeVerdict:
    """Withdraw growth of the heap that neither blocks nor native bytes share."""
    # These two count all that can leak. The rest is rounding: up to 32 bytes per live block when
    # the C library reuses larger ones, and the number of live blocks is flat.
    heap = named["heap"]
    parts = {named[name].verdict if name in named else "leak" for name in ("blocks", "native")}
    if "leak" in parts or heap.verdict not in ("leak", UNDECIDED):
        return heap
    if UNDECIDED in parts:
        reason = "grows, but neither blocks nor native bytes certainly do: run more steps"
        return replace(heap, verdict=UNDECIDED, reason=reason)
    reason = "blocks and native bytes do not grow: the allocator's rounding"
    is_less = heap.high < heap.detection_limit
    return replace(heap, verdict="flat" if is_less else "plateau", reason=reason)


def _resident_with_live(one: GaugeVerdict, named: dict[str, GaugeVerdict]) -> GaugeVerdict:
    """Decide resident memory as live memory: its freed pages are kept, its growth is the heap's."""
    if one.family != "resident":
        return one
    live, heap = {named[name].verdict for name in LIVE_MEMORY if name in named}, named.get("heap")
    if heap and heap.verdict == UNDECIDED and "leak" not in live:
        if one.is_leak and one.low <= heap.high:
            reason = "grows no more than the heap, which is undecided"
            return replace(one, verdict=UNDECIDED, reason=reason)
    elif live and live <= CLEAN and one.verdict == UNDECIDED and one.runs:
        reason = "live memory does not grow: the allocator keeps freed pages"
        return replace(one, verdict="plateau", reason=reason)
    return one
