"""What the accuracy benchmark's rows come to, on made-up rows with known answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import _accuracy_figures
import _accuracy_rows
import pytest

from resleak.errors import StoreError


def row(workload: str, variant: str, verdict: str, **more: Any) -> dict[str, Any]:
    """Return a row of resleak at the look that is scored."""
    gauges = {"heap": {"verdict": verdict, "low": 9.0, "high": 11.0, "detection_limit": 12.0}}
    if verdict in ("leak", "inconclusive"):
        gauges["heap"]["reason"] = "climbs"
    named = {"workload": workload, "variant": variant, "half": "published", "tool": "resleak"}
    numbers = {"look": 240, "leaks": variant == "leaky", "expect": ["heap"], "truth": {}}
    return {**named, **numbers, "verdict": verdict, "gauges": gauges, "beyond": False, **more}


ROWS = [
    row("a", "leaky", "leak", truth={"heap": 10.0}),
    row("a", "fixed", "flat"),
    row("b", "leaky", "inconclusive"),
    row("b", "fixed", "leak"),
    row("c", "leaky", "leak", truth={"heap": 12.0}),
    row("c", "leaky", "flat", look=60),
    row("a", "leaky", "leak", look=60),
    row("d", "benign", "leak", beyond=True),
    row("a", "leaky", "flat", tool="peer"),
    row("null n", "benign", "flat", half="null", look=None),
]


def certified(workload: str, lower: bool, answer: str, half: str) -> dict[str, Any]:
    """Return a row of what was compared before and after."""
    named = row(workload, "fixed", "", half=half, tool="certificate", look=120)
    numbers = {"gauge": "heap", "bound": 9.0, "margin": 8.0, "needs": 6}
    return {**named, "lower": lower, "answer": answer, **numbers}


COMPARED = [
    certified("a", True, "fixed", "published"),
    certified("b", True, "lower", "published"),
    certified("c", False, "not fixed", "published"),
    certified("d-pattern=late", False, "not fixed", "published"),
    certified("null n", False, "not fixed", "null"),
    certified("null n", True, "lower", "null"),
]


@pytest.fixture(scope="module")
def rows() -> Any:
    return _accuracy_rows.frame(ROWS)


def test_precision_recall_and_what_is_open_are_counted(rows: Any) -> None:
    """Two of three called a leak are one, two of three leaks are found, one of five is open."""
    told = _accuracy_rows.tools(rows).set_index(["tool", "measure"])[["hits", "of"]]
    assert told.loc[("resleak", "precision")].tolist() == [2, 3]
    assert told.loc[("resleak", "recall")].tolist() == [2, 3]
    assert told.loc[("resleak", "inconclusive")].tolist() == [1, 5]
    assert told.loc[("peer", "recall")].tolist() == [0, 1]


def test_each_part_is_counted_for_itself() -> None:
    """What is held out stands beside what is published, and null runs and peers are no part."""
    held_out = row("e", "leaky", "inconclusive", half="held out")
    told = _accuracy_rows.parts(_accuracy_rows.frame([*ROWS, held_out]))
    assert told.loc["published"].to_dict() == {
        "leaks": 3, "found": 2, "called": 3, "right": 2, "verdicts": 5, "open": 1,
    }  # fmt: skip
    assert told.loc["held out"].tolist() == [1, 0, 0, 0, 1, 1]
    assert len(told) == 2


def test_a_share_has_the_exact_interval() -> None:
    """The interval is that of Clopper and Pearson: 0 of 1000 is below 0.37 %."""
    assert _accuracy_rows.share(0, 1000)["high"] == pytest.approx(0.00368, abs=1e-5)


def test_steps_count_from_where_it_stays_right(rows: Any) -> None:
    """A leak counts from the first look from which it was always called one; never is infinity."""
    assert sorted(_accuracy_rows.steps_to_verdict(rows, counts=False)) == [60, 240, float("inf")]


def test_coverage_is_of_rates_that_are_known(rows: Any) -> None:
    """An interval of 9 to 11 covers 10, and misses 12."""
    assert sorted(_accuracy_rows.covered(rows[rows["half"] == "published"])) == [False, True]


def test_misses_are_listed_with_their_reason(rows: Any) -> None:
    """What was wrong or open is listed; what nobody can tell is listed apart."""
    missed = _accuracy_rows.misses(rows)
    assert missed[["workload", "variant", "why"]].to_numpy().tolist() == [
        ["b", "leaky", "heap: climbs"],
        ["b", "fixed", "heap: climbs"],
    ]
    assert _accuracy_rows.beyond(rows)["workload"].tolist() == ["d"]


def test_power_and_size_are_of_what_was_and_was_not_changed() -> None:
    """Two of three fixes are shown, those that no run can show are left out; one of two is none."""
    compared = _accuracy_rows.frame([*ROWS, *COMPARED])
    goals = _accuracy_rows.goals(compared).set_index("measure")
    goals.index = goals.index.str.split(": ").str[-1]
    assert goals.loc["power", ["measured", "of"]].tolist() == [pytest.approx(2 / 3), 3]
    assert goals.loc["size", ["measured", "of"]].tolist() == [0.5, 2]
    assert _accuracy_rows.certificates(compared)["answer"].tolist() == ["lower", "not fixed"]


def test_smallest_leaks_are_known_by_their_name() -> None:
    """A workload of 16 B/step is one of them, and one of 16384 is not."""
    found = [
        row("a-rate=16", "leaky", "leak"),
        row("b-rate=16-pattern=17th", "leaky", "flat"),
        row("c-rate=16384", "leaky", "flat"),
    ]
    goals = _accuracy_rows.goals(_accuracy_rows.frame([*ROWS, *found])).set_index("measure")
    assert goals.loc["leaks of 16 B/step found", ["measured", "of"]].tolist() == [0.5, 2]


def test_what_peers_said_stands_beside_if_it_is_of_the_same_work(tmp_path: Path) -> None:
    """A peer's answer on a workload that has changed since is left out."""
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"workload": "a", "rows": [row("a", "leaky", "leak", code="1")]}))
    said = [row("a", "leaky", "flat", code=code, tool=f"peer {code}") for code in "12"]
    path.with_name("rows_peers.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in said))
    assert _accuracy_rows.read(path)["tool"].tolist() == ["resleak", "peer 1"]


def test_goals_say_whether_they_hold(rows: Any) -> None:
    """Each goal has what was measured, its interval, and whether it holds."""
    goals = _accuracy_rows.goals(rows).set_index("measure")
    assert not goals.loc["precision", "holds"]
    assert goals.loc["false alarms on null runs", "holds"]
    assert goals.loc["false alarms on null runs", "of"] == 1
    assert goals.loc["leaks of 16 B/step found", "holds"] is None


def test_the_last_judgement_of_a_workload_counts(tmp_path: Path) -> None:
    """A file that was appended to gives the latest rows; one that is not there says what to run."""
    lines = [{"workload": "a", "rows": [row("a", "leaky", v)]} for v in ("flat", "leak")]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    assert _accuracy_rows.read(path)["verdict"].tolist() == ["leak"]
    with pytest.raises(StoreError, match=r"accuracy\.py"):
        _accuracy_rows.read(tmp_path / "none.jsonl")


def test_accuracy_is_drawn(rows: Any) -> None:
    """The curve has a line a measure, the comparison a point a tool, all with intervals."""
    curve = _accuracy_figures.accuracy_curve(_accuracy_rows.against_steps(rows))
    points = _accuracy_figures.accuracy_of_tools(_accuracy_rows.tools(rows))
    assert [one.name for one in curve.data] == ["precision", "recall", "inconclusive"]
    assert [one.name for one in points.data] == ["resleak", "peer"]
    assert all(one.error_y.array is not None for one in (*curve.data, *points.data))
