"""The rule that joins the statistics into a verdict for each gauge of each variant.

Read it as: cut the warm-up, estimate the rate of what is left, ask whether it is real (an interval
and a test over replicated runs), whether it counts (a floor), whether it keeps up (fading,
saturation), and whether it goes away (at collections, or when the load stops).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from resleak import formatting
from resleak.analysis import statistics
from resleak.analysis.series import Readings, Series
from resleak.analysis.statistics import FEWEST, Rate, Runs
from resleak.workload.gauges import Gauge
from resleak.workload.scenario import Verdict

#: Chance of a false alarm over all gauges of a variant.
ALPHA = 0.001
#: A climb whose second half has less than this share of the first half's rate is fading.
FADING = 0.5
#: A climb of which at most this share is left once the load has stopped has drained.
DRAINED = 0.1
#: A handle must have risen by this much over the steady part.
_LEAST_RISE = 2.0
#: What waits for the collector counts from this many handles a block.
_LEAST_DROP = 2.0
#: What climbs at so many steps in a row, in each run, climbs at every step.
_LEAST_CLIMBS = 20
#: Collections in each half of a run in which a count may rest for most of the time.
_LEAST_HALF = 10
#: Jumps of which the smallest is at least this share of the largest are of one size.
_EVEN = 0.8
#: A table makes room no more often than this while it grows by a factor of eight.
_FEW_JUMPS = 3
#: Blocks come in sizes: a leak of bytes is seen surely from so much above the floor.
_UNEVEN = 0.25
#: The columns that are in the gauge's unit per step.
RATES = ("per_step", "low", "high", "smallest_detectable")
_COUNTED = ("handles", "own")
_UNDECIDED: Verdict = "inconclusive"


@dataclass(frozen=True)
class GaugeVerdict:
    """The verdict for one gauge, with all that is needed to defend it."""

    gauge: str
    family: str
    verdict: Verdict
    per_step: float
    low: float
    high: float
    unit: str
    smallest_detectable: float
    start: float
    peak: float
    at_end: float
    held_between_collections: float
    p: float
    runs: int
    reason: str
    per: str


def judge(traces: pd.DataFrame, gauges: Mapping[str, Gauge]) -> pd.DataFrame:
    """Judge every gauge of every variant.

    Parameters
    ----------
    traces : DataFrame
        As `resleak.captures.frames.traces` gives them; in ``.attrs["per"]`` what their steps are.
    gauges : mapping of str to Gauge
        Which gauges, with their units and floors; counters and facts are passed over.

    Returns
    -------
    DataFrame
        One row a variant and gauge: ``variant gauge family verdict per_step low high unit
        smallest_detectable start peak at_end held_between_collections p runs reason per``. Rates
        are in the unit per step, and `per` says what that is.
    """
    rows = []
    levels = [gauge for gauge in gauges.values() if gauge.kind == "level"]
    for variant, trace in traces.groupby("variant", sort=False):
        readings = Readings(trace, str(traces.attrs.get("per", "step")))
        known = [gauge for gauge in levels if readings.has(gauge.name)]
        judged = [_judge_one(gauge, readings.series(gauge.name)) for gauge in known]
        final = _corrected(_corroborated(judged))
        rows += [{"variant": variant, **asdict(one)} for one in final]
    columns = ["variant", *GaugeVerdict.__dataclass_fields__]
    return pd.DataFrame(rows, columns=columns)


def calibrated(gauges: Mapping[str, Gauge], control: pd.DataFrame) -> dict[str, Gauge]:
    """Raise the floors to what a do-nothing control shows on this machine.

    Parameters
    ----------
    gauges : mapping of str to Gauge
        With the floors that a quiet machine was seen to stay under.
    control : DataFrame
        Traces of runs that do nothing, in the same harness.

    Returns
    -------
    dict of str to Gauge
        A floor is at least twice the rate of the control, up or down.
    """
    shown = judge(control, gauges).set_index("gauge")["per_step"].abs().fillna(0.0).to_dict()
    return {
        name: replace(gauge, floor=max(gauge.floor, 2 * float(shown.get(name, 0.0))))
        for name, gauge in gauges.items()
    }


def run_rates(trace: pd.DataFrame, gauge: str) -> np.ndarray:
    """Return the rate of each run of one variant after its warm-up, shape (runs,).

    Of a gauge that fewer than three runs read, of the halves of each: shape (2 runs,).

    Parameters
    ----------
    trace : DataFrame
        The runs of one variant.
    gauge : str
        A column.
    """
    steady = Readings(trace).series(gauge).steady
    enough = [points for points in steady if len(points) >= FEWEST]
    return statistics.replicates(_late(enough)) if enough else np.empty(0)


def paired_rates(before: pd.DataFrame, after: pd.DataFrame, gauge: str) -> np.ndarray:
    """Return by how much the rate of each run of a variant is above that of its twin before.

    What twins do alike, because they share a seed, is not in the difference of their curves.

    Parameters
    ----------
    before, after : DataFrame
        The runs of one variant each; twins have the same number.
    gauge : str
        A column.

    Returns
    -------
    array, shape (runs,) or (2 runs,)
        As those of `run_rates`; empty if the runs are no twins.
    """
    sides = [Readings(side).series(gauge).steady for side in (before, after)]
    if [run[:, 0].tolist() for run in sides[0]] != [run[:, 0].tolist() for run in sides[1]]:
        return np.empty(0)
    begin = max((statistics.warmup_end(side) for side in sides if side), default=0.0)
    changes = [
        np.column_stack([old[:, 0], new[:, 1] - old[:, 1]])[old[:, 0] >= begin]
        for old, new in zip(*sides, strict=True)
    ]
    enough = [points for points in changes if len(points) >= FEWEST]
    return statistics.replicates(enough) if enough else np.empty(0)


def floor(gauge: Gauge, trace: pd.DataFrame) -> float:
    """Return the smallest rate of a gauge that counts over the steps of a trace of one variant."""
    seen = Readings(trace).series(gauge.name)
    return _floor(gauge, seen.steady, seen.per) if seen.steady else gauge.floor


def waits(row: Mapping[str, Any]) -> bool:
    """Tell whether what a judged gauge counts also waits for the collector, leak or not."""
    return bool(row["family"] in _COUNTED and row["held_between_collections"] >= _LEAST_DROP)


def _judge_one(gauge: Gauge, seen: Series) -> GaugeVerdict:
    def judged(verdict: Verdict, found: Rate, floor: float, reason: str) -> GaugeVerdict:
        uneven = _UNEVEN * floor if gauge.family == "memory" else 0.0
        smallest = floor + uneven + 2 * found.half_width
        numbers = (found.value, found.low, found.high, gauge.unit, smallest)
        level = (seen.start, seen.peak, seen.at_end, seen.drop)
        return GaugeVerdict(
            gauge.name, gauge.family, verdict, *numbers, *level,
            found.p, len(seen.steady), reason, seen.per,
        )  # fmt: skip

    if not seen.steady or min(len(points) for points in seen.steady) < FEWEST:
        return judged(*_at_once(gauge, seen))
    late = _late(seen.steady)
    found, floor = statistics.rate(late), _floor(gauge, late, seen.per)
    if not _jumps_alike(gauge, seen):
        found = replace(found, p=_probability(late, found, floor))
    verdict, reason = _verdict(gauge, seen, late, found, floor)
    return judged(verdict, found, floor, reason)


def _at_once(gauge: Gauge, seen: Series) -> tuple[Verdict, Rate, float, str]:
    """Judge a run too short for a rate: only what climbs at every single step is plain already.

    A pool would have to be larger than half the warm-up to look like that.
    """
    nothing = Rate(np.nan, np.nan, np.nan, 1.0)
    if gauge.family not in _COUNTED or not seen.steps:
        return "inconclusive", nothing, np.nan, _too_few(seen)
    rises = np.concatenate([_rises(points) for points in seen.steps])
    climbs = len(rises) >= _LEAST_CLIMBS * len(seen.steps) and bool((rises >= 1).all())
    if not climbs or _left(seen, seen.steps) <= DRAINED:
        return "inconclusive", nothing, np.nan, _too_few(seen)
    found = Rate(float(rises.mean()), float(rises.min()), float(rises.max()), 0.5 ** len(rises))
    steps = len(seen.steps[0])
    told = f"climbed at each of {steps} steps and is held; so would a pool of more than {steps}"
    return "leak", found, 0.0, told


def _rises(points: np.ndarray) -> np.ndarray:
    """Return by how much each reading is above the last one, per step."""
    steps, rises = np.diff(points, axis=0).T
    return np.asarray(rises[steps > 0] / steps[steps > 0])


def _late(steady: Runs) -> Runs:
    """Return the part of each run after its warm-up."""
    begin = statistics.warmup_end(steady)
    return [points[points[:, 0] >= begin] for points in steady]


def _floor(gauge: Gauge, late: Runs, per: str) -> float:
    """Return the smallest rate that counts: the gauge's, or the least rise over the steps seen.

    The gauge's own was measured per step of a process that does nothing; it says nothing of time.
    """
    least = {**dict.fromkeys(_COUNTED, _LEAST_RISE), "resident": gauge.rise}
    floor = gauge.floor if per != "s" else 0.0
    return max(floor, least.get(gauge.family, 0.0) / _steps(late))


def _steps(late: Runs) -> float:
    return float(np.median([np.ptp(points[:, 0]) for points in late]))


def _verdict(
    gauge: Gauge, seen: Series, late: Runs, found: Rate, floor: float
) -> tuple[Verdict, str]:
    if _jumps_alike(gauge, seen) and _left(seen, late) > DRAINED:
        return "leak", "jumps now and then, by as much each time, and rests between"
    if found.low > floor and found.p < ALPHA:
        return _climbing(gauge, seen, late, floor)
    if gauge.family in _COUNTED and _rises_now_and_then(seen) and _left(seen, late) > DRAINED:
        return "leak", "rises now and then, as in the first half so in the second, and never falls"
    if found.value > floor and found.low > 0 and found.p < 0.05:
        return "inconclusive", f"climbs, but not surely above the floor: {_more(seen, late, 2.0)}"
    if _starts_to_climb(late, floor):
        return "inconclusive", f"begins to climb in the last blocks: {_more(seen, late, 1.0)}"
    if gauge.family in _COUNTED and seen.drop >= _LEAST_DROP:
        return "deferred", "climbs between collections and falls at each"
    if _highest(seen) - seen.start > gauge.rise:
        return "plateau", "grew, then stopped"
    return "flat", "no growth beyond the floor"


def _climbing(gauge: Gauge, seen: Series, late: Runs, floor: float) -> tuple[Verdict, str]:
    """Decide between a leak and the things that climb and are none."""
    if 3 * len(late[0]) < len(seen.steady[0]) and not _climbed_before(seen, late, floor):
        return "inconclusive", f"began to climb late in the run: {_more(seen, late, 2.0)}"
    if _jumps_seldom(gauge, seen, floor):
        return "inconclusive", f"climbs in a few jumps, not all alike: {_more(seen, late, 2.0)}"
    fading = statistics.fading(late)
    if fading < FADING:
        return "inconclusive", f"still climbs, but fades: {_more(seen, late, 2.0)}"
    if statistics.saturates(seen.steady):
        return "inconclusive", f"bends like something that fills: {_more(seen, late, 2.0)}"
    if gauge.family in _COUNTED and _left(seen, late) <= DRAINED:
        return "deferred", "climbs under load and drains when it stops"
    return "leak", "climbs steadily and is held"


def _rises_now_and_then(seen: Series) -> bool:
    """Tell whether a count rose in both halves of each run and never fell."""
    halves = [half for run in seen.steady for half in statistics.halves(run)]
    rises = [np.diff(half[:, 1]) for half in halves]
    long_enough = min(len(rise) for rise in rises) >= _LEAST_HALF
    return long_enough and all(rise.sum() >= 1 and rise.min() >= 0 for rise in rises)


def _jumps_alike(gauge: Gauge, seen: Series) -> bool:
    """Tell whether each run rests but for jumps of one size, from its beginning to its end.

    A table that grows jumps as well, by more each time, and ever more seldom. Resident memory jumps
    whenever the allocator asks for more.
    """
    least = max(gauge.rise, _LEAST_RISE)
    kept = gauge.family != "resident"
    return kept and all(_even_jumps(points, least) for points in seen.steady)


def _even_jumps(points: np.ndarray, least: float) -> bool:
    at, sizes, rest = _jumps(points, 0.5)
    if not 2 <= len(at) <= len(points) / 4 or sizes.sum() < least:
        return False
    even = sizes.min() > _EVEN * sizes.max()
    rests = np.abs(rest).sum() < (1 - _EVEN) * sizes.sum()
    longest = np.diff(at).max() / _EVEN
    all_along = at[0] - points[0, 0] <= longest and points[-1, 0] - at[-1] <= longest
    return bool(even and rests and all_along)


def _jumps_seldom(gauge: Gauge, seen: Series, floor: float) -> bool:
    """Tell whether memory climbs in a few jumps alone, as a table does that makes room."""
    found = [_jumps(points, 0.25) for points in seen.steady]
    steps = _steps(seen.steady)
    seldom = [len(at) <= _FEW_JUMPS and rest.sum() <= floor * steps for at, _, rest in found]
    return gauge.family in ("memory", "objects") and all(seldom)


def _jumps(points: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where a curve jumps, by more than a share of the most, by how much, and the rest."""
    rises = np.diff(points[:, 1])
    jumps = rises > max(share * rises.max(), 0.0)
    return points[1:, 0][jumps], rises[jumps], rises[~jumps]


def _probability(runs: Runs, found: Rate, floor: float) -> float:
    """Return the probability of such a climb by chance.

    What falls now and then scatters: it must also be surely above the floor, for a trend test takes
    readings that hang together for more than they are. What never falls does not.
    """
    falls = any((np.diff(points[:, 1]) < 0).any() for points in runs)
    return max(found.p, found.above(floor)) if falls else found.p


def _climbed_before(seen: Series, late: Runs, floor: float) -> bool:
    """Tell whether the part before a split climbed as surely as the part after it."""
    early = [run[: len(run) - len(rest)] for run, rest in zip(seen.steady, late, strict=True)]
    found = statistics.rate(early)
    return found.low > floor and _probability(early, found, floor) < ALPHA


def _starts_to_climb(late: Runs, floor: float) -> bool:
    """Tell whether in every run nearly each of the last blocks rose, and above all before them."""
    tails = [np.diff(points[-FEWEST:], axis=0) for points in late]
    rose = all(np.sum(tail[:, 1] > floor * tail[:, 0]) >= FEWEST - 2 for tail in tails)
    return rose and all(_last_rise(points) > _scatter(points) for points in late)


def _last_rise(points: np.ndarray) -> float:
    return float(points[-1, 1] - points[-FEWEST, 1])


def _scatter(points: np.ndarray) -> float:
    """Return how far the readings before the last blocks lie apart."""
    return float(np.ptp(points[: 1 - FEWEST, 1]))


def _left(seen: Series, late: Runs) -> float:
    """Return the share of the climb that is left once the load has stopped."""
    first = float(np.median([points[0, 1] for points in late]))
    last = float(np.median([points[-1, 1] for points in late]))
    return (seen.settled - first) / (last - first) if last > first else 1.0


def _highest(seen: Series) -> float:
    return float(max(points[:, 1].max() for points in seen.steady))


def _more(seen: Series, late: Runs, factor: float) -> str:
    return f"about {factor * _steps(late):.0f} more {formatting.several(seen.per)} would decide"


def _too_few(seen: Series) -> str:
    have = min((len(points) for points in seen.steady), default=0)
    what = "collections" if seen.per == "step" else "readings"
    more = f"run more {formatting.several(seen.per)}"
    return f"only {have} {what} in the steady part; it takes {FEWEST}: {more}"


def _corroborated(judged: list[GaugeVerdict]) -> list[GaugeVerdict]:
    """Let what live memory shows decide where one gauge of memory alone does not."""
    return _resident_with_live(_heap_with_its_parts(judged))


def _resident_with_live(judged: list[GaugeVerdict]) -> list[GaugeVerdict]:
    """Settle a doubt about pages where live memory is flat: the allocator keeps them."""
    live = {one.verdict for one in judged if one.gauge in ("heap", "native", "blocks")}
    if not live or live - {"plateau", "flat"}:
        return judged
    told = "climbs a little, or less and less, and live memory does not: pages that are kept"
    return [
        replace(one, verdict="plateau", reason=told)
        if one.family == "resident" and one.verdict == _UNDECIDED and one.runs
        else one
        for one in judged
    ]


def _heap_with_its_parts(judged: list[GaugeVerdict]) -> list[GaugeVerdict]:
    """Take back a climb of the heap that neither the blocks nor the native bytes share.

    Together these two see all that can be leaked. What is left are the bytes by which the C
    library rounds blocks up when it reuses larger ones: fewer than 32 for each live block, whose
    number is flat.
    """
    verdicts = {one.gauge: one.verdict for one in judged}
    parts = {verdicts.get("blocks", "leak"), verdicts.get("native", "leak")}
    if "leak" in parts or verdicts.get("heap") not in ("leak", _UNDECIDED):
        return judged
    if _UNDECIDED in parts:
        changed: Verdict = _UNDECIDED
        reason = "climbs, but neither blocks nor native bytes surely do: run more steps"
    else:
        changed, reason = (
            "plateau",
            "no more blocks, no more native bytes: the allocator's rounding",
        )
    return [
        replace(one, verdict=changed, reason=reason) if one.gauge == "heap" else one
        for one in judged
    ]


def _corrected(judged: list[GaugeVerdict]) -> list[GaugeVerdict]:
    """Take back a leak that does not stand once the number of gauges is considered (Holm)."""
    adjusted = statistics.holm(np.array([one.p for one in judged]))
    return [
        replace(one, p=float(p), verdict="inconclusive", reason="does not stand among all gauges")
        if one.verdict == "leak" and p >= ALPHA
        else replace(one, p=float(p))
        for one, p in zip(judged, adjusted, strict=True)
    ]
