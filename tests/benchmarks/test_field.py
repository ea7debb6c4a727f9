"""The field benchmark's series have the truth they claim, and its results are counted right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import _field_rows as counting
import _field_series as series
import _field_work as work
import numpy as np
import pandas as pd
import pytest

from resleak.captures import load

KINDS = series.all_series()
BY_NAME = {one.name: one for one in KINDS}


def test_kinds_are_enough_and_have_names_of_their_own() -> None:
    """At least 40 kinds, about half of which leak, and no name twice."""
    assert len(KINDS) >= 40
    assert len(BY_NAME) == len(KINDS)
    assert 0.4 <= sum(one.leaks for one in KINDS) / len(KINDS) <= 0.6


@pytest.mark.parametrize("one", [k for k in KINDS if k.is_constant], ids=lambda one: one.name)
def test_a_constant_kind_grows_at_its_rate(one: series.Series) -> None:
    """The growth between the first and the last fifth, over many seeds, is the true rate."""
    found = [_growth_per_h(*one.points(seed)) for seed in range(40)]
    error = np.std(found) / np.sqrt(len(found))
    span_h = one.points(0)[0][-1] / 3600
    assert abs(np.mean(found) - one.rate) <= 5 * error + 0.02 * one.rate + 0.01 / span_h


def _growth_per_h(t: np.ndarray, mib: np.ndarray) -> float:
    """Return MiB per hour between the medians of both ends."""
    fifth = t <= t[0] + (t[-1] - t[0]) / 5, t >= t[-1] - (t[-1] - t[0]) / 5
    (early, late) = ((t[part].mean(), np.median(mib[part])) for part in fifth)
    return float((late[1] - early[1]) / (late[0] - early[0]) * 3600)


@pytest.mark.parametrize("name", ["restarts", "restarts_warm", "restarts_wave"])
def test_restarted_services_grow_at_their_rate_while_they_run(name: str) -> None:
    """Within each life, after its warm-up, the growth over whole days is the true rate."""
    one = BY_NAME[name]
    t, mib = one.points(0)
    begins = np.flatnonzero(np.diff(mib) < -10)
    assert len(begins) >= 2
    life = slice(begins[0] + 1 + 240, begins[1] - 5)
    rate = np.polyfit(t[life] / 3600, mib[life], 1)[0]
    assert rate == pytest.approx(one.rate, rel=0.5 if "wave" in name else 0.1)


@pytest.mark.parametrize(
    "one", [k for k in KINDS if not k.leaks and not k.is_constant], ids=lambda one: one.name
)
def test_a_bounded_kind_rises_and_does_not_go_on(one: series.Series) -> None:
    """It moves by more than its noise, and ends no higher than it has been before."""
    _, mib = one.points(3)
    last = mib[-len(mib) // 10 :]
    assert np.ptp(mib) > 5
    assert np.median(last) <= mib[: -len(last)].max() + 0.5


@pytest.mark.parametrize("name", ["pace_0.6", "pace_2", "traffic", "faster"])
def test_a_leak_of_changing_pace_has_its_mean_as_truth(name: str) -> None:
    """Over whole cycles the mean growth is the true rate."""
    t, mib = BY_NAME[name].points(1)
    assert (mib[-1] - mib[0]) / (t[-1] - t[0]) * 3600 == pytest.approx(BY_NAME[name].rate, rel=0.05)


def test_a_series_is_the_same_each_time_and_differs_by_seed() -> None:
    """The same seed gives the same points, another one others."""
    one = BY_NAME["saw"]
    assert np.array_equal(one.points(7)[1], one.points(7)[1])
    assert not np.array_equal(one.points(7)[1], one.points(8)[1])


@pytest.mark.parametrize("name", ["steady", "final_zero"])
@pytest.mark.parametrize("look", [0.5, 1.0])
def test_what_is_written_is_read_back(name: str, look: float, tmp_path: Path) -> None:
    """The log, read by resleak, has the points up to the look."""
    one = BY_NAME[name]
    t, mib = one.points(0)
    [capture] = load.load(one.written(tmp_path, 0, look))
    trace = capture.trace
    count = round(len(t) * look)
    assert np.allclose(trace["rss"][:count] / 2**20, mib[:count], atol=1e-3)
    assert np.allclose(trace["t_s"][:count], t[:count], atol=1e-3)


def test_peers_say_what_their_rules_say() -> None:
    """A steep line is a leak to both, a level one to neither, a slow one only to the trend test."""
    t = np.arange(0, 600.0)
    noise = np.random.default_rng(1).normal(0, 0.01, len(t))
    steep, slow = 50 + t / 10, 50 + t / 3600
    assert series.mann_kendall(t, steep) == series.ten_megabytes_an_hour(t, steep) == "leak"
    assert series.ten_megabytes_an_hour(t, 50 + noise) == "flat"
    assert series.mann_kendall(t, slow) == "leak"
    assert series.ten_megabytes_an_hour(t, slow) == "flat"


def row(verdict: str, leaks: bool, **more: Any) -> dict[str, Any]:
    """Return a row of the kind that the benchmark stores."""
    return {"tool": "resleak", "verdict": verdict, "leaks": leaks, **more}


def test_measures_are_counted() -> None:
    """Found, missed, false and open verdicts are counted where they belong."""
    rows = pd.DataFrame(
        [row("leak", True), row("leak", True), row("flat", True), row("inconclusive", True),
         row("leak", False), row("plateau", False), row("filling", False), row("error", False)]
    )  # fmt: skip
    by_measure = counting.table(rows).set_index("measure")
    pairs = {name: (one["hits"], one["of"]) for name, one in by_measure.iterrows()}
    assert pairs == {
        "recall": (2, 4), "precision": (2, 3), "inconclusive": (2, 8),
        "false flat or plateau": (1, 4),
    }  # fmt: skip
    assert by_measure.loc["precision", "low"] == pytest.approx(0.0943, abs=1e-3)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["leak", "leak", "leak"], (0, 0)),
        (["inconclusive", "leak", "leak"], (0, 0)),
        (["leak", "flat", "leak"], (2, 0)),
        (["leak", "inconclusive", "plateau"], (1, 1)),
        (["flat", "inconclusive", "plateau"], (0, 1)),
        (["flat", "plateau", "filling"], (0, 0)),
    ],
)
def test_flips_and_withdrawals_are_counted(verdicts: list[str], expected: tuple[int, int]) -> None:
    """A reversal is from leak to clean or back; a withdrawal is from a decision to none."""
    assert counting.flips(verdicts) == expected


def test_looks_count_false_flats_and_false_limits() -> None:
    """A leak called flat is counted, and again if the printed limit is below its true rate."""
    told = {"series": "a", "seed": 0, "rate": 10.0}
    rows = pd.DataFrame(
        [row("flat", True, look=0.5, limit=12.0, **told),
         row("plateau", True, look=0.75, limit=4.0, **told),
         row("leak", True, look=1.0, limit=3.0, **told),
         row("leak", False, look=1.0, limit=3.0, series="b", seed=0, rate=0.0)]
    )  # fmt: skip
    [found] = counting.looks(rows).to_dict(orient="records")
    assert (found["flips"], found["false_flats"], found["limits_false"]) == (1, 2, 1)
    assert (found["wrong_leaks"], found["of"], found["of_leaks"]) == (1, 1, 3)


def test_intervals_that_cover_are_counted() -> None:
    """Only kinds of one rate count, and those whose interval has the rate in it are hits."""
    told = {"look": 1.0, "is_constant": True, "rate": 10.0}
    rows = pd.DataFrame(
        [row("leak", True, low=9.0, high=11.0, **told),
         row("leak", True, low=11.0, high=12.0, **told),
         row("leak", True, low=1.0, high=2.0, **{**told, "is_constant": False})]
    )  # fmt: skip
    found = counting.coverage(rows).set_index("intervals")
    assert found.loc["all looks", ["hits", "of"]].tolist() == [1, 2]


def test_the_last_results_are_counted_beside_the_laboratory(tmp_path: Path) -> None:
    """Of two results of one workload or series the later one counts, at its last look."""
    stored = [
        row("flat", True, workload="a"), row("leak", True, workload="a"),
        {"series": "b", "seed": 0, "leaks": False, "looks": [row("leak", False, look=1.0)]},
        {"series": "b", "seed": 0, "leaks": False,
         "looks": [row("leak", False, look=0.5), row("inconclusive", False, look=1.0)]},
        row("flat", True, side="c leaky", half="published", open=[]),
        row("leak", True, side="c leaky", half="published", open=[]),
        row("inconclusive", False, side="c fixed", half="published", open=["rss", "uss"]),
    ]  # fmt: skip
    file = tmp_path / "field.jsonl"
    file.write_text("\n".join(map(json.dumps, stored)) + "\n")
    found = counting.parts(*counting.read(file))
    assert found.loc["workloads"].tolist() == [1, 1, 1, 1, 1, 0, 0]
    assert found.loc["series"].tolist() == [0, 0, 0, 0, 1, 1, 0]
    assert found.loc["published, default"].tolist() == [1, 1, 1, 1, 2, 1, 0]
    missed = counting.missed_sides(counting.read(file)[2])
    assert missed.values.tolist() == [["c fixed", "published", "inconclusive", "rss, uss"]]


def test_detection_limits_that_are_true_are_counted() -> None:
    """A planted leak that is found is a hit; series without a limit are left out."""
    rows = pd.DataFrame(
        [row("flat", False, look=1.0, planted="leak"),
         row("plateau", False, look=1.0, planted="inconclusive"),
         row("inconclusive", False, look=1.0, planted=""), row("leak", True, look=1.0)]
    )  # fmt: skip
    assert counting.limits(rows)[["hits", "of"]].to_numpy().tolist() == [[1, 2]]


def test_a_planted_leak_starts_anew_with_each_life(tmp_path: Path) -> None:
    """A leak of 2 MiB/h in a service that is restarted every 12 hours adds less than 24 MiB."""
    one = BY_NAME["level_restarts"]
    [capture] = load.load(one.written(tmp_path, 0, plant_per_h=2.0))
    added = capture.trace["rss"].to_numpy() / 2**20 - one.points(0)[1]
    assert added.max() == pytest.approx(24, abs=0.1)
    assert np.median(added) == pytest.approx(12, abs=0.1)


def test_misses_name_the_gauges_that_decided() -> None:
    """A bounded workload called a leak is listed with the gauge; a right verdict is not."""
    gauges = {"blocks": {"verdict": "leak", "per_step": 4.0}, "fds": {"verdict": "flat"}}
    told = {"kind": "bounded", "full": 1024, "why": None, "rates": {}}
    rows = pd.DataFrame(
        [row("leak", False, workload="a", gauges=gauges, **told),
         row("plateau", False, workload="b", gauges={}, **told)]
    )  # fmt: skip
    [found] = counting.missed_work(rows).to_dict(orient="records")
    assert found["truth"] == "full after 1,024"
    assert found["gauges"] == "blocks leak 4"


def test_headers_of_workloads_are_whole() -> None:
    """Each workload names a source and a truth, and about half of them leak."""
    found = work.all_work()
    assert len(found) >= 40
    for one in found:
        assert {"Source", "Environment", "Kind", "Truth"} <= set(one.header), one.name
        assert one.environment in work.ENVIRONMENTS, one.name
        assert "#" in one.header["Source"], one.name
        assert bool(one.rates) == one.leaks, one.name
        assert (one.full is not None) == (one.kind == "bounded"), one.name
    assert sum(one.kind == "bounded" and one.environment != "plain" for one in found) >= 12
    assert 0.35 <= sum(one.leaks for one in found) / len(found) <= 0.6
