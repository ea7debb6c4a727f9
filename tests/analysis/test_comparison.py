"""Before against after on made-up captures; power and size of the certificate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import captures
from helpers import traces as made

from resleak.analysis import comparison, growth
from resleak.analysis.comparison import ALPHA, Certificate, certify
from resleak.captures import load
from resleak.errors import StoreError

CASES = 1000


def compared(root: Path, before: pd.DataFrame, after: pd.DataFrame) -> pd.Series:
    for side, trace in (("leaky", before), ("fixed", after)):
        captures.write(root, captures.scenario(), side, trace)
    sides = (load.load(root / "made" / "up" / side) for side in ("leaky", "fixed"))
    return comparison.compare(*sides).frame.set_index("gauge").loc["fds"]


def test_fix_is_certified_with_its_margin(tmp_path: Path) -> None:
    """A leak that is gone is certified below a stated rate."""
    row = compared(
        tmp_path,
        made.trace(made.ramp(1.0), gauge="fds", runs=5),
        made.trace(made.flat, gauge="fds", runs=5),
    )
    assert row["lower"]
    assert row["equivalent"]
    assert row["p"] < 0.01
    assert row["certificate"] == "fixed"
    assert "fixed: under 0.0087 descriptors/step with 95% confidence" in row["sentence"]


def test_half_a_fix_is_not_certified(tmp_path: Path) -> None:
    """A leak at half the rate is lower, and no certificate is given."""
    row = compared(
        tmp_path,
        made.trace(made.ramp(1.0), gauge="fds"),
        made.trace(made.ramp(0.5), gauge="fds"),
    )
    assert row["lower"]
    assert not row["equivalent"]
    assert row["certificate"] == "lower"
    assert row["difference"] == pytest.approx(-0.5)


def test_two_runs_of_one_variant_have_names_of_their_own(tmp_path: Path) -> None:
    """A version, or the order, tells two sides of one name apart."""
    sides = []
    for side in ("a", "b"):
        flat = made.trace(made.flat, gauge="fds")
        captures.write(tmp_path / side, captures.scenario(), "leaky", flat)
        sides.append(load.load(tmp_path / side))
    name = "made/up leaky"
    both = comparison.compare(*sides)
    assert (both.before, both.after) == (f"{name}, before", f"{name}, after")
    for capture, version in zip(sides, ("1.0", "1.1"), strict=True):
        for one in capture:
            versions = replace(one.manifest.versions, packages={"aiohttp": version})
            object.__setattr__(one, "manifest", replace(one.manifest, versions=versions))
    both = comparison.compare(*sides)
    assert (both.before, both.after) == (f"{name}, aiohttp 1.0", f"{name}, aiohttp 1.1")


def test_no_change_is_no_change(tmp_path: Path) -> None:
    """Two equal leaks are not told apart."""
    leak = made.trace(made.ramp(1.0), gauge="fds")
    row = compared(tmp_path, leak, leak)
    assert not row["lower"]
    assert row["low"] <= 0 <= row["high"]


def test_two_variants_on_one_side_are_refused(tmp_path: Path) -> None:
    """Each side is one variant; more are an error that names them."""
    for side in ("leaky", "fixed"):
        captures.write(tmp_path, captures.scenario(), side, made.trace(made.flat, gauge="fds"))
    both = load.load(tmp_path)
    with pytest.raises(StoreError, match="leaky, fixed"):
        comparison.compare(both, both)


def test_a_certificate_needs_runs(tmp_path: Path) -> None:
    """One run a side certifies nothing, and the refusal says how many would."""
    row = compared(
        tmp_path,
        made.trace(made.ramp(1.0), gauge="fds", runs=1),
        made.trace(made.flat, gauge="fds", runs=1),
    )
    assert row["certificate"] == "refused"
    assert "3 per side are enough" in row["sentence"]


def test_a_margin_of_ones_own_is_held(tmp_path: Path) -> None:
    """A stated margin takes the place of the gauge's own floor; one for no gauge is refused."""
    for side, curve in (("leaky", made.ramp(1.0)), ("fixed", made.ramp(0.2))):
        captures.write(tmp_path, captures.scenario(), side, made.trace(curve, gauge="fds"))
    sides = [load.load(tmp_path / "made" / "up" / side) for side in ("leaky", "fixed")]
    assert comparison.compare(*sides, {"fds": 0.5}).frame.loc[0, "certificate"] == "fixed"
    assert comparison.compare(*sides, {"fds": 0.1}).frame.loc[0, "certificate"] == "lower"
    with pytest.raises(StoreError, match="no gauge heap"):
        comparison.compare(*sides, {"heap": 4.0})


def test_hosts_of_different_classes_are_refused(tmp_path: Path) -> None:
    """Runs of another kernel, processor, C library or allocator are not compared."""
    for side in ("leaky", "fixed"):
        captures.write(tmp_path, captures.scenario(), side, made.trace(made.flat, gauge="fds"))
    before, after = (load.load(tmp_path / "made" / "up" / side) for side in ("leaky", "fixed"))
    for capture in after:
        capture.manifest = replace(capture.manifest, host={"release": "6.2"})
    comparison.compare(before, after)  # what is not recorded is not held against it
    for capture in before:
        capture.manifest = replace(capture.manifest, host={"release": "6.1"})
    with pytest.raises(StoreError, match=r"\(release: 6\.1 before, 6\.2 after\)"):
        comparison.compare(before, after)


HOUR = 3600.0


def watched(gauge: str, curve: Callable[[np.ndarray], np.ndarray], runs: int = 3) -> pd.DataFrame:
    """Return runs of a process that was watched from outside, one reading per minute."""
    at = np.arange(0.0, 24 * HOUR, 60.0)
    rows = pd.DataFrame({"t_s": at, "step": at, "block": np.arange(len(at)), gauge: curve(at)})
    rows = rows.assign(phase="steady", moment="reading", scenario="made/up", variant="process")
    trace = pd.concat([rows.assign(run=run + 1) for run in range(runs)], ignore_index=True)
    trace.attrs["per"] = "s"
    return trace


def opening(per_hour: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda at: 100 + np.floor(per_hour * at / HOUR)


def test_runs_over_time_are_certified_per_second(tmp_path: Path) -> None:
    """Half of the floor per step is a leak over hours: it is not certified as fixed."""
    row = compared(tmp_path, watched("fds", opening(60)), watched("fds", opening(7)))
    assert (row["verdict_after"], row["certificate"]) == ("leak", "lower")  # 0.004 is 14 per hour
    assert row["margin"] == pytest.approx(2 / (24 * HOUR) / 3**0.5, rel=0.1)
    assert "60 descriptors/h → 7 descriptors/h; lower" in row["sentence"]
    assert "up to 7 descriptors/h may remain" in row["sentence"]


def test_a_fix_over_time_is_certified_per_hour(tmp_path: Path) -> None:
    """What is gone is certified as fixed, with a margin that can be read."""
    row = compared(tmp_path, watched("fds", opening(60)), watched("fds", opening(0)))
    assert (row["verdict_after"], row["certificate"]) == ("flat", "fixed")
    assert "0 descriptors/h; fixed: under 0.0493 descriptors/h with 95% conf" in row["sentence"]


def test_lives_of_one_process_are_runs(tmp_path: Path) -> None:
    """Between restarts a service grows; the slope over all of them would say nothing."""

    def grown(mib_per_hour: float) -> Callable[[np.ndarray], np.ndarray]:
        return lambda at: 2**20 * (200 + mib_per_hour * (at % (6 * HOUR)) / HOUR)

    before, after = (watched("rss", grown(rate), runs=1) for rate in (40.0, 0.0))
    slopes = growth.replicate_slopes(before, "rss") * HOUR / 2**20
    assert slopes == pytest.approx([40.0] * 4, rel=0.01)
    assert growth.paired_slope_differences(before, after, "rss").size == 0


def test_steps_and_seconds_are_not_compared(tmp_path: Path) -> None:
    """Rates per step and rates over time have no difference."""
    with pytest.raises(StoreError, match="step before, s after"):
        compared(tmp_path, made.trace(made.flat, gauge="fds"), watched("fds", opening(0)))


def answers(before: float, after: float, margin: float, scatter: float = 10.0) -> list[str]:
    """Return what five runs a side certify, whose rates scatter with heavy tails."""
    rng = np.random.default_rng(7)
    sides = [rate + scatter * rng.standard_t(5, (CASES, 5)) for rate in (before, after)]
    return [certify(*pair, margin).answer for pair in zip(*sides, strict=True)]


def test_a_fix_is_certified() -> None:
    """With five runs a side a leak of ten times the scatter that is gone is certified as fixed."""
    assert answers(100.0, 0.0, margin=50.0).count("fixed") >= 0.99 * CASES


def test_no_change_is_hardly_ever_called_lower() -> None:
    """With no difference one case in a hundred is called lower."""
    found = answers(0.0, 0.0, margin=50.0)
    assert found.count("fixed") + found.count("lower") <= 18  # of 1000; P < 1 % at 1 %


def test_twins_without_a_change_are_hardly_ever_called_lower() -> None:
    """Asked twice, of the rates and of the differences, no more than one case in a hundred is."""
    rng = np.random.default_rng(11)
    pairs = [(rng.normal(0, 10, 5), rng.normal(0, 10, 5)) for _ in range(CASES)]
    found = [certify(old, new, 50.0, paired=new - old).p < ALPHA for old, new in pairs]
    assert sum(found) <= 18  # of 1000; P < 1 % at 1 %


def test_twins_show_what_the_noise_that_they_share_hides() -> None:
    """A leak of 100 B/step beside churn of 50 kB, alike on both sides, is gone: shown by twins."""
    sides = [
        made.trace(made.ramp(rate, noise=50_000), gauge="heap", steps=120, runs=5)
        for rate in (100.0, 0.0)
    ]
    old, new = (growth.replicate_slopes(side, "heap") for side in sides)
    changes = growth.paired_slope_differences(*sides, "heap")
    assert changes == pytest.approx([-100.0] * 5)
    assert certify(old, new, 8.0).answer == "not fixed"
    assert certify(old, new, 8.0, changes).answer == "lower"


def test_runs_that_are_no_twins_are_compared_without() -> None:
    """Of runs with other steps there is no difference to take, and nothing changes."""
    long, short = (made.trace(made.ramp(1.0), steps=steps) for steps in (240, 120))
    assert growth.paired_slope_differences(long, short, "count").size == 0
    rates = np.array([1.0, 2.0, 3.0])
    assert certify(rates, rates, 8.0, np.empty(0)) == certify(rates, rates, 8.0)


def test_what_is_left_at_the_margin_is_hardly_ever_certified() -> None:
    """A rate that is as large as the margin is certified as fixed in 5 of 100 cases."""
    assert answers(200.0, 50.0, margin=50.0).count("fixed") <= 67  # of 1000; P < 1 % at 5 %


def test_traces_of_120_steps_are_enough() -> None:
    """Five runs a side of 120 noisy steps certify a leak of 200 bytes a step that is gone."""
    sides = []
    for curve in (made.ramp(200.0, noise=300.0), made.noise(300.0)):
        trace = made.trace(curve, gauge="bytes", steps=120, runs=5)
        sides.append(growth.replicate_slopes(trace, "bytes"))
    assert certify(*sides, 30.0).answer == "fixed"


@pytest.mark.parametrize(
    ("after", "answer"),
    [([0, 0, 0], "fixed"), ([0.5, 0.5, 0.5], "lower"), ([1, 1, 1], "not fixed"), ([0], "refused")],
)
def test_exact_rates_need_no_test(after: list[float], answer: str) -> None:
    """Rates without any scatter are compared as they are."""
    assert certify(np.ones(3), np.array(after, dtype=float), 0.01).answer == answer


def test_rates_without_scatter_on_one_side_are_compared_silently() -> None:
    """One side is exact, the other is not: the test is valid, and nothing is warned of."""
    exact, noisy = np.full(3, 0.1), np.array([0.001, 0.002, 0.003])
    assert certify(exact, noisy, 0.01).answer == "fixed"


def test_a_refusal_says_what_would_do() -> None:
    """More runs are proposed where they would help, and none where too much is left."""
    before, near, far = (
        np.array([99.0, 100.0, 101.0]),
        np.array([-2.0, 2.0, 0.5]),
        np.array([9.0, 11.0, 10.0]),
    )
    undecided = certify(before, near, 3.0)
    assert undecided.answer == "lower"
    assert 3 < undecided.needs < 10
    assert "runs per side would decide" in undecided.sentence("B")
    assert certify(before, far, 3.0).needs == 0


def test_the_sentence_states_margin_and_confidence() -> None:
    """A certificate reads as it will be quoted."""
    told = Certificate("fixed", 0.001, 2.5, 4.0).sentence("B")
    assert told == "fixed: under 4 B/step with 95% confidence (p = 0.001)"
