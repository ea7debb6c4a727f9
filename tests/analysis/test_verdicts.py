"""What is made of the evidence: verdict of a variant, outcome of claim and fix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from helpers import captures
from helpers import traces as made

from resleak.analysis import verdicts
from resleak.captures import load
from resleak.errors import StoreError
from resleak.workload.scenario import Limit

CLAIM: dict[str, Any] = {"claim": "descriptors leak", "symptoms": {"fds": "leak"}}


def level(name: str = "fds") -> pd.DataFrame:
    return made.trace(made.flat, gauge=name)


def leak(per_step: float = 1.0, waiting: float = 0.0) -> pd.DataFrame:
    return made.trace(made.ramp(per_step), gauge="fds", waiting=waiting)


def judged(
    root: Path, leaky: pd.DataFrame, proposed: pd.DataFrame | None = None, **options: Any
) -> verdicts.ScenarioVerdict:
    scenario = captures.scenario(**{**CLAIM, "outcome": "reproduced", "fix": "holds", **options})
    captures.write(root, scenario, "leaky", leaky)
    captures.write(root, scenario, "fixed", level())
    if proposed is not None:
        captures.write(root, scenario, "proposed", proposed)
    return verdicts.judge(load.load(root))


@pytest.mark.parametrize(
    ("leaky", "outcome"),
    [
        (leak(), "reproduced"),
        (made.trace(made.flat, gauge="fds", waiting=1.0), "partly"),
        (level(), "not reproduced"),
        (made.trace(made.filling(3000, 120), gauge="fds"), "inconclusive"),
    ],
    ids=["leak", "deferred", "flat", "undecided"],
)
def test_outcome_of_a_claim(tmp_path: Path, leaky: pd.DataFrame, outcome: str) -> None:
    """A claim is reproduced, partly, not, or undecided, by what its leaky variant shows."""
    assert judged(tmp_path, leaky).claim["measured"] == outcome


def test_a_constructed_fault_is_partly_at_most(tmp_path: Path) -> None:
    """All that is claimed, in a part of ours that the document does not describe, is partly."""
    outcomes = [
        judged(tmp_path / name, trace, leaky_origin="constructed").claim["measured"]
        for name, trace in {"leak": leak(), "flat": level()}.items()
    ]
    assert outcomes == ["partly", "not reproduced"]


@pytest.mark.parametrize(("peak", "outcome"), [(700, "insufficient"), (1000, "harmful")])
def test_a_fix_that_breaks_a_limit_by_more_is_harmful(
    tmp_path: Path, peak: float, outcome: str
) -> None:
    """A limit broken by half as much again is more of the same; by a little more it is the same."""
    options: dict[str, Any] = {
        "symptoms": {"fds": "broken"},
        "fix": outcome,
        "limits": [Limit("fds", at_most=150)],
    }
    leaky, proposed = (level().assign(fds=value) for value in (600, peak))
    found = judged(tmp_path, leaky, proposed, **options)
    assert found.claim["fix"]["measured"] == outcome


@pytest.mark.parametrize(
    ("proposed", "outcome"),
    [
        (level(), "holds"),
        (leak(0.5), "insufficient"),
        (leak(1.0), "insufficient"),
        (leak(2.0), "harmful"),
        (leak(1.0, waiting=1.0), "harmful"),
        (made.trace(made.filling(3000, 120), gauge="fds"), "inconclusive"),
    ],
    ids=["flat", "slower", "as before", "faster", "waits too", "undecided"],
)
def test_outcome_of_a_fix(tmp_path: Path, proposed: pd.DataFrame, outcome: str) -> None:
    """A fix that leaks faster, or shows what was not there before, is harmful."""
    assert judged(tmp_path, leak(), proposed).claim["fix"]["measured"] == outcome


def test_fix_that_breaks_a_limit_is_harmful(tmp_path: Path) -> None:
    """A fix that stops the leak and breaks a promise instead is harmful."""
    scenario = captures.scenario(
        **CLAIM, outcome="reproduced", fix="harmful", limits=[Limit("rows_lost", at_end=0)]
    )
    captures.write(tmp_path, scenario, "leaky", leak(), facts={"rows_lost": 0})
    captures.write(tmp_path, scenario, "proposed", level(), facts={"rows_lost": 12})
    found = verdicts.judge(load.load(tmp_path))
    assert found.claim["fix"]["measured"] == "harmful"
    assert found.variants["proposed"].verdict == "broken"
    assert found.variants["proposed"].limits[0].worst == 12


def test_fixed_is_the_fix_where_nothing_was_proposed(tmp_path: Path) -> None:
    """Without a `proposed` variant the seed's own fix is `fixed`."""
    fix = judged(tmp_path, leak()).claim["fix"]
    assert (fix["variant"], fix["measured"]) == ("fixed", "holds")


@pytest.mark.parametrize("status", ["hung", "deadline"])
def test_process_that_does_not_end_is_never_clean(tmp_path: Path, status: str) -> None:
    """A run stopped at its deadline hangs, however level its gauges are."""
    scenario = captures.scenario()
    captures.write(tmp_path, scenario, "leaky", level(), status=status)
    assert verdicts.judge(load.load(tmp_path)).variants["leaky"].verdict == "hangs"


def test_declared_and_measured_are_held_against_each_other(tmp_path: Path) -> None:
    """A variant is as declared only if it shows just what its file says."""
    scenario = captures.scenario()
    scenario.variants.pop("leaky")
    scenario.variant("leaky", expect={"fds": "leak"})(captures.step)
    captures.write(tmp_path / "a", scenario, "leaky", leak())
    captures.write(tmp_path / "b", scenario, "leaky", level())
    assert verdicts.judge(load.load(tmp_path / "a")).variants["leaky"].as_declared
    assert not verdicts.judge(load.load(tmp_path / "b")).variants["leaky"].as_declared


def test_any_leak_spoils_a_clean_variant(tmp_path: Path) -> None:
    """A fixed variant that leaks in a gauge nobody thought of is not clean."""
    scenario = captures.scenario()
    trace = level().assign(children=leak()["fds"])
    captures.write(tmp_path, scenario, "fixed", trace)
    found = verdicts.judge(load.load(tmp_path)).variants["fixed"]
    assert found.verdict == "leak"
    assert not found.as_declared


def test_json_has_what_is_promised(tmp_path: Path) -> None:
    """The JSON of a judgement is plain, and has rate, interval and smallest leak by gauge."""
    found = json.loads(json.dumps(judged(tmp_path, leak(), leak(2)).to_dict(), allow_nan=False))
    fds = found["variants"]["leaky"]["gauges"]["fds"]
    keys = {"verdict", "per_step", "low", "high", "unit", "detection_limit", "peak", "at_end"}
    assert keys <= set(fds)
    assert (fds["verdict"], fds["per_step"], fds["unit"]) == ("leak", 1.0, "descriptors")
    assert found["claim"]["fix"] == {
        "variant": "proposed",
        "declared": "holds",
        "measured": "harmful",
    }


def test_sentence_has_the_number(tmp_path: Path) -> None:
    """The sentence about a leak has its rate, unit and interval."""
    assert "fds leak 1 descriptor/step [1, 1]" in judged(tmp_path, leak()).sentence("leaky")


def test_scenarios_are_judged_one_at_a_time(tmp_path: Path) -> None:
    """Captures of two scenarios together are an error that names them."""
    one, other = captures.scenario(), captures.scenario()
    other.name = "made/other"
    captures.write(tmp_path, one, "leaky", level())
    captures.write(tmp_path, other, "leaky", level())
    with pytest.raises(StoreError, match="made/other, made/up"):
        verdicts.judge(load.load(tmp_path))


def test_titles_are_escaped(tmp_path: Path) -> None:
    """A title with markup in it is shown, not run."""
    scenario = captures.scenario()
    scenario.title = "<script>alert(1)</script>"
    captures.write(tmp_path, scenario, "leaky", level())
    assert "<script>" not in verdicts.judge(load.load(tmp_path))._repr_html_()


def test_captures_of_an_older_version_are_told_apart(tmp_path: Path) -> None:
    """A manifest that lacks what reading rests on is named in one sentence, not in a traceback."""
    judged(tmp_path, leak())
    for path in tmp_path.rglob("manifest.json"):
        manifest = json.loads(path.read_text())
        del manifest["scenario"]["sweeps"]
        path.write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="says nothing of sweeps: it is older"):
        load.load(tmp_path)
