"""The verdict on made-up traces whose answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import traces as made

from resleak.analysis import growth
from resleak.analysis.gauge_verdict import GaugeVerdict, by_gauge
from resleak.workload.gauges import BUILTIN, Gauge


def verdict(trace: pd.DataFrame, gauge: Gauge = made.COUNT) -> GaugeVerdict:
    return growth.judge(trace, {gauge.name: gauge})[0]


LEAKS = {
    "ramp": made.ramp(1.0),
    "slow ramp": made.ramp(0.05),
    "every 17th": made.every(17),
    "staircase": made.every(40, by=40),
    "late onset": made.from_step(140),
    "noisy ramp": made.ramp(1.0, noise=3.0),
    "ramp after a filled pool": lambda at, rng: made.plateau(50, 30)(at, rng) + 0.5 * at,
}
CLEAN = {
    "flat": (made.flat, "flat"),
    "plateau in the warm-up": (made.plateau(50, 40), "plateau"),
    "plateau in the steady part": (made.plateau(50, 120), "plateau"),
    "cache that is nearly full": (made.filling(200, 20), "plateau"),
}


@pytest.mark.parametrize("curve", LEAKS.values(), ids=LEAKS)
def test_leak_is_found(curve: made.Curve) -> None:
    """What climbs and is held is a leak, whether it climbs at each step or now and then."""
    assert verdict(made.trace(curve)).verdict == "leak"


@pytest.mark.parametrize(("curve", "expected"), CLEAN.values(), ids=CLEAN)
def test_clean_is_not_called_a_leak(curve: made.Curve, expected: str) -> None:
    """What is flat, or climbed and is flat since, is told as such."""
    assert verdict(made.trace(curve)).verdict == expected


@pytest.mark.parametrize("tau", [60, 120, 200])
def test_still_filling_is_inconclusive(tau: float) -> None:
    """A cache that still fills at the end cannot be told from a leak, and is not called one."""
    judged = verdict(made.trace(made.filling(3000, tau)))
    assert judged.verdict == "inconclusive"
    assert "more steps" in judged.reason


def test_filling_is_bounded_given_enough_steps() -> None:
    """The same cache is bounded once the run is long enough to see its end."""
    trace = made.trace(made.filling(3000, 60), steps=1200)
    assert verdict(trace).verdict == "plateau"


def test_saw_tooth_is_deferred() -> None:
    """What piles up between collections and falls at each is deferred, with the height told."""
    judged = verdict(made.trace(made.flat, waiting=1.0))
    assert judged.verdict == "deferred"
    assert judged.held_between_collections == made.BLOCK


def test_leak_beside_a_saw_tooth_is_a_leak() -> None:
    """A leak is not hidden by what waits for the collector beside it."""
    judged = verdict(made.trace(made.ramp(1.0), waiting=1.0))
    assert judged.verdict == "leak"
    assert judged.is_gc_deferred


def test_backlog_that_drains_is_deferred() -> None:
    """What climbs under load and is gone once the load stops is not lost."""
    assert verdict(made.trace(made.ramp(1.0), drains=True)).verdict == "deferred"


def test_begin_of_a_climb_is_not_called_level() -> None:
    """What begins to climb in the last blocks is inconclusive, never level."""
    assert verdict(made.trace(made.from_step(265))).verdict == "inconclusive"


def one_jump(at: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    """Grow the capacity of a table once."""
    return 1e6 + 40_000.0 * (at > 180)


def doubling(at: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    """Double the capacity of a table, ever more rarely."""
    return 1e6 + 300.0 * 2 ** np.ceil(np.log2(np.maximum(at, 1)))


@pytest.mark.parametrize("curve", [one_jump, doubling])
def test_a_step_up_in_capacity_is_not_a_leak(curve: made.Curve) -> None:
    """A list or a dict that makes room now and then is not called a leak for that alone."""
    judged = verdict(made.trace(curve, gauge="bytes"), made.BYTES)
    assert judged.verdict != "leak"


def now_and_then(sizes: list[float], at_steps: list[int]) -> made.Curve:
    """Return a curve that rests but for jumps of these sizes after these steps."""

    def curve(at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        jumps = sum(size * (at > step) for size, step in zip(sizes, at_steps, strict=True))
        return 1e6 + rng.normal(0, 100, len(at)) + jumps

    return curve


@pytest.mark.parametrize(
    ("sizes", "at_steps", "leaks"),
    [
        ([1e5, 1e5], [105, 205], True),
        ([1e5, 2e5], [105, 205], False),
        ([6e4, 1.2e5], [75, 185], False),
        ([3e4, 6e4, 1.2e5], [65, 125, 245], False),
        ([1e5] * 7, [*range(75, 300, 35)], True),
        ([1e5, 1e5], [75, 95], False),
        ([1e5, 1e5], [265, 285], False),
    ],
)
def test_jumps_are_a_leak_if_they_go_on_as_they_were(
    sizes: list[float], at_steps: list[int], leaks: bool
) -> None:
    """Two jumps of one size, as far apart as from the ends, are a leak; all others are a doubt."""
    judged = verdict(made.trace(now_and_then(sizes, at_steps), gauge="bytes"), made.BYTES)
    assert (judged.verdict == "leak") == leaks


def test_a_climb_beside_a_jump_is_a_leak() -> None:
    """A table that makes room once hides no leak of a tenth of its size."""

    def curve(at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return 1e6 + 1e5 * (at > 150) + 40.0 * at

    assert verdict(made.trace(curve, gauge="bytes"), made.BYTES).verdict == "leak"


def swinging(at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Follow a load that swings by 25, and lose one in 17 steps."""
    return rng.integers(0, 25, len(at)) + at // 17 * 1.0


def test_a_leak_under_a_swinging_load_is_found() -> None:
    """What is lost shows in the lowest readings, and the rate is the true one."""
    judged = verdict(made.trace(swinging, runs=5))
    assert judged.verdict == "leak"
    assert judged.low <= 1 / 17 <= judged.high


def test_what_fills_by_chance_is_not_a_leak_when_it_is_nearly_full() -> None:
    """A straight end of a curve that bends is no climb of its own, unless there is one."""

    def filling(per_step: float) -> made.Curve:
        def curve(at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            return 300 * (1 - np.exp(-at / 90)) + per_step * at + rng.normal(0, 1, len(at))

        return curve

    judged = [verdict(made.trace(filling(rate), runs=5)).verdict for rate in (0.0, 1.0)]
    assert judged == ["inconclusive", "leak"]


def test_too_few_collections_is_inconclusive() -> None:
    """A run of a few blocks decides nothing and says what it takes."""
    judged = verdict(made.trace(made.every(3), steps=30))
    assert judged.verdict == "inconclusive"
    assert "run more steps" in judged.reason


def test_run_stopped_before_its_first_collection_is_inconclusive() -> None:
    """A run that hung in its first steps has no verdict on its gauges, and raises nothing."""
    trace = made.trace(made.ramp(1.0))
    hung = trace[trace["step"] < 5]
    judged = verdict(hung)
    assert judged.verdict == "inconclusive"
    assert judged.peak == 104


@pytest.mark.parametrize("per_step", [1.0, 0.25, 17.0])
def test_rate_of_an_exact_gauge_is_exact(per_step: float) -> None:
    """Without noise the rate is exact and its interval has no width."""
    judged = verdict(made.trace(made.ramp(per_step)))
    assert judged.per_step == pytest.approx(per_step)
    assert judged.low == pytest.approx(judged.high)


def test_interval_covers_the_true_rate() -> None:
    """The 95 % interval of a noisy rate covers the truth in at least 90 of 100 seeds."""
    curve = made.ramp(400.0, noise=5000.0)
    found = [verdict(made.trace(curve, gauge="bytes", seed=10 * s), made.BYTES) for s in range(100)]
    assert sum(one.low <= 400 <= one.high for one in found) >= 90


@pytest.mark.parametrize("curve", [made.noise(4096), made.walk(200)], ids=["noise", "walk"])
def test_noise_is_never_a_leak(curve: made.Curve) -> None:
    """Scatter and aimless wandering are not called a leak in any of 50 seeds."""
    found = [verdict(made.trace(curve, gauge="bytes", seed=10 * s), made.BYTES) for s in range(50)]
    assert [one.verdict for one in found].count("leak") == 0


def test_a_leak_of_the_detection_limit_is_found() -> None:
    """A leak of twice the size that a level run says it could have seen is found."""
    quiet = verdict(made.trace(made.noise(300), gauge="bytes"), made.BYTES)
    size = 2 * quiet.detection_limit
    leaking = made.trace(made.ramp(size, noise=300), gauge="bytes")
    assert quiet.verdict == "flat"
    assert verdict(leaking, made.BYTES).verdict == "leak"


def test_noisier_runs_promise_less() -> None:
    """The detection limit grows with the noise."""
    sizes = [
        verdict(made.trace(made.noise(n), gauge="bytes"), made.BYTES).detection_limit
        for n in (0, 1000, 10_000)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]


def test_floor_decides_what_counts() -> None:
    """A climb below the floor is flat: eight bytes a step are not sixteen."""
    trace = made.trace(made.ramp(8.0), gauge="bytes")
    assert verdict(trace, made.BYTES).verdict == "flat"


def test_many_gauges_raise_the_bar() -> None:
    """A marginal climb that counts alone does not stand as one of forty gauges."""
    marginal = made.trace(made.every(100), runs=1)
    p = verdict(marginal).p
    names = [f"gauge{i}" for i in range(40)]
    many = marginal.assign(**dict.fromkeys(names, marginal["count"]))
    judged = growth.judge(many, {name: Gauge(name, "entries") for name in names})
    assert judged[0].p == pytest.approx(min(1.0, 40 * p))


def test_variants_are_judged_apart() -> None:
    """One table holds a row for each variant and gauge."""
    both = pd.concat([made.trace(made.ramp(1)), made.trace(made.flat, variant="fixed")])
    judged = growth.judge(both, {"count": made.COUNT})
    assert {one.variant: one.verdict for one in judged} == {
        "leaky": "leak",
        "fixed": "flat",
    }


def test_gauge_that_was_never_read_has_no_row() -> None:
    """A gauge without a reading gets no verdict at all."""
    trace = made.trace(made.flat).assign(other=np.nan)
    judged = growth.judge(trace, {"other": Gauge("other", "x"), "absent": Gauge("absent", "x")})
    assert not judged


def test_counters_are_not_judged_for_growth() -> None:
    """A counter only ever rises: it is held against limits, not called a leak."""
    judged = growth.judge(made.trace(made.ramp(1)), {"count": Gauge("count", "x", kind="counter")})
    assert not judged


def heap_and(blocks: made.Curve, native: made.Curve, per_step: float = 130.0) -> GaugeVerdict:
    """Return the verdict on a heap that climbs, beside the two gauges that can explain it."""
    curves = {"heap": made.ramp(per_step), "blocks": blocks, "native": native}
    traces = [made.trace(curve, gauge=name) for name, curve in curves.items()]
    joined = traces[0].assign(blocks=traces[1]["blocks"], native=traces[2]["native"])
    judged = growth.judge(joined, {name: BUILTIN[name] for name in curves})
    return by_gauge(judged)["heap"]


def test_rounding_of_the_allocator_is_not_a_leak() -> None:
    """A heap that climbs while blocks and native bytes are flat only rounds its blocks up."""
    judged = heap_and(made.flat, made.flat)
    assert judged.verdict == "plateau"
    assert judged.low > judged.detection_limit
    assert "rounding" in judged.reason
    slow = heap_and(made.flat, made.flat, per_step=9.0)
    assert slow.verdict == "flat"
    assert slow.high < slow.detection_limit


def test_heap_is_no_surer_than_what_it_is_made_of() -> None:
    """A heap that climbs while the blocks may still be filling is undecided too."""
    assert heap_and(made.filling(3000, 120), made.flat).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("blocks", "native"),
    [(made.ramp(2.0), made.flat), (made.flat, made.ramp(130.0))],
    ids=["objects", "native code"],
)
def test_heap_that_is_corroborated_stays_a_leak(blocks: made.Curve, native: made.Curve) -> None:
    """Either the blocks or the native bytes climbing along make it a leak."""
    assert heap_and(blocks, native).verdict == "leak"


@pytest.mark.parametrize(("per_step", "verdict"), [(8_000, "leak"), (2_000, "flat")])
def test_resident_memory_counts_from_a_mebibyte(per_step: float, verdict: str) -> None:
    """Pages that come to less than 1 MiB over the whole run are no leak, and it says so."""
    trace = made.trace(made.ramp(per_step), gauge="uss")
    judged = growth.judge(trace, {"uss": BUILTIN["uss"]})[0]
    assert judged.detection_limit >= 1024**2 / 240
    assert (judged.verdict == "leak") == (verdict == "leak")


@pytest.mark.parametrize("first", [0, 1], ids=["at once", "from the second step on"])
def test_what_is_gone_a_moment_later_does_not_wait_for_the_collector(first: int) -> None:
    """Two threads that the system counts for a moment after each step do not pile up."""
    trace = made.trace(made.flat)
    lagging = 2 * trace["moment"].isin(["step", "before_collect"])
    lagging -= first * ((trace["moment"] == "step") & (trace["step"] % made.BLOCK == 1))
    judged = growth.judge(trace.assign(count=trace["count"] + lagging), {"count": made.COUNT})
    assert judged[0].verdict in ("flat", "plateau")
    assert judged[0].held_between_collections < 2


def few(curve: made.Curve, steps: int = 3, **how: Any) -> pd.DataFrame:
    """Return a trace of a few measured steps after the warm-up."""
    return made.trace(curve, steps=steps, **how)


def test_what_climbs_at_every_step_is_a_leak_after_three() -> None:
    """A count that rose at each step of warm-up and run alike needs three measured steps."""
    judged = verdict(few(made.ramp(1.0)))
    assert judged.verdict == "leak"
    assert judged.per_step == 1.0


@pytest.mark.parametrize(
    "trace",
    [
        few(made.flat),
        few(made.every(2)),
        few(made.plateau(50, 50)),
        few(made.ramp(1.0), drains=True),
        few(made.from_step(61)),
    ],
    ids=["flat", "every second step", "a pool that fills", "drains", "late"],
)
def test_three_steps_decide_nothing_else(trace: pd.DataFrame) -> None:
    """Three steps call nothing a leak that rested once, or is gone once the load stops."""
    assert verdict(trace).verdict == "inconclusive"


def test_three_steps_decide_nothing_about_bytes() -> None:
    """Memory is never judged by three steps: it comes in capacities."""
    assert verdict(few(made.ramp(100.0), gauge="bytes"), made.BYTES).verdict == "inconclusive"


def test_a_count_that_rises_now_and_then_and_never_falls_is_a_leak() -> None:
    """One in a hundred steps is enough, if it goes on in the second half of each run."""
    assert verdict(made.trace(made.every(100), runs=5)).verdict == "leak"


@pytest.mark.parametrize(
    "curve",
    [made.plateau(3, 150), lambda at, rng: made.every(100)(at, rng) - (at == 250)],
    ids=["stops in the first half", "falls once"],
)
def test_a_count_that_stops_or_falls_is_not(curve: made.Curve) -> None:
    """What no longer rises in the second half, or ever falls, is not called a leak for that."""
    counted = lambda at, rng: np.floor(curve(at, rng))  # noqa: E731
    assert verdict(made.trace(counted, runs=5)).verdict != "leak"


@pytest.mark.parametrize(("heap", "expected"), [(made.flat, "plateau"), (made.ramp(90.0), "leak")])
def test_a_doubt_about_pages_is_settled_by_live_memory(heap: made.Curve, expected: str) -> None:
    """Pages that still come, ever more rarely, are the allocator's where live memory is flat."""
    pages = made.trace(made.filling(60e6, 120), gauge="rss")
    both = pages.assign(heap=made.trace(heap, gauge="heap")["heap"])
    judged = growth.judge(both, {name: BUILTIN[name] for name in ("heap", "rss")})
    found = {one.gauge: one.verdict for one in judged}
    assert found["rss"] == ("plateau" if expected == "plateau" else "inconclusive")
    assert found["heap"] == ("flat" if expected == "plateau" else "leak")


def test_a_noisy_machine_raises_the_floors() -> None:
    """What a do-nothing control shows is no leak: the floor is twice its rate, and never lower."""
    gauges = {name: BUILTIN[name] for name in ("heap", "fds")}
    noisy, quiet = (made.trace(curve, gauge="heap") for curve in (made.ramp(30.0), made.flat))
    assert growth.calibrated(gauges, noisy)["heap"].floor == pytest.approx(60.0)
    assert growth.calibrated(gauges, quiet) == gauges


def test_runs_without_a_steady_state_are_ignored() -> None:
    """Two runs that end in the warm-up do not change the verdict on the third."""
    trace = made.trace(made.ramp(1.0))
    is_short = trace["run"].lt(3)
    trace.loc[is_short & trace["phase"].eq("settle"), "count"] = 1.0
    assert verdict(trace[~is_short | trace["phase"].ne("steady")]).verdict == "leak"
