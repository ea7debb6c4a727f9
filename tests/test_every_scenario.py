"""Every scenario, found by scanning: what its file says, and that this is what is measured."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import pytest
from helpers import stored

from resleak.analysis import stacks, verdicts
from resleak.analysis.verdicts import ScenarioVerdict
from resleak.captures import load
from resleak.harness.measurement import measure
from resleak.harness.plan import CaptureOptions, jobs, plan
from resleak.harness.runner import capture
from resleak.workload import catalog
from resleak.workload.gauges import BUILTIN, MEASURES
from resleak.workload.scenario import Scenario
from resleak.workload.verdict_words import BROKEN, CONSTRUCTED, HANGS, SCALES, Origin

NAMES = sorted(catalog.paths())
CLAIMS = [name for name in NAMES if stored.scenario(name).claim]
CONTROLS = [name for name in NAMES if name not in CLAIMS]
#: As in the quick profile: bytes and blocks are counted in alternate runs.
RUNS = 3


def words(declared: str) -> set[str]:
    return {word.strip() for word in declared.split(",")}


def readable(scenario: Scenario) -> set[str]:
    derived = {"cpu_s", "exit_s", "cleanup_s", "run"}
    return {*BUILTIN, *MEASURES, *scenario.own_gauges, *scenario.facts, *derived}


def measured(name: str, out: Path) -> ScenarioVerdict:
    """Run all variants, with the gauges alone, and judge them."""
    what = plan(name, CaptureOptions(runs=RUNS, seed=1, out=out))
    todo = [job for job in jobs(what) if job.instrument == "gauges"]
    stop = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda job: measure(job, lambda *_: None, stop), todo))
    return verdicts.judge(load.load(out))


def explain(judged: ScenarioVerdict) -> str:
    frame = judged.frame[["variant", "gauge", "verdict", "per_step", "low", "high", "reason"]]
    unclear = frame[~frame["verdict"].isin(["flat", "plateau"])]
    held = [t.frame.to_string() for v in judged.variants.values() for t in (v.limits, v.scaling)]
    return "\n".join([str(judged), str(judged.claim), unclear.to_string(), *held])


@pytest.mark.parametrize("name", NAMES)
def test_says_what_goes_wrong(name: str) -> None:
    """A file opens with its finding in one sentence, explains it, and says what each step does."""
    scenario = stored.scenario(name)
    title, _, body = scenario.doc.partition("\n\n")
    assert title == scenario.title
    assert title.endswith(".")
    assert body
    assert all(variant.what for variant in scenario.variants.values())


@pytest.mark.parametrize("name", NAMES)
def test_names_only_what_can_be_read(name: str) -> None:
    """Every gauge a file names is built in, its own, or limited, with a word that can apply."""
    scenario = stored.scenario(name)
    expected = [variant.expect for variant in scenario.variants.values()]
    for declared in (scenario.symptoms, *expected):
        assert set(declared) <= readable(scenario)
        for told in declared.values():
            assert words(told) <= {"leak", "deferred", BROKEN, HANGS, SCALES}
    assert scenario.named | {sweep.over for sweep in scenario.sweeps} <= readable(scenario)
    assert {*scenario.gauges, scenario.control} <= {*BUILTIN, *MEASURES}


@pytest.mark.parametrize("name", NAMES)
def test_control_gauge_is_clean(name: str) -> None:
    """Nothing is expected of the gauge that is the control."""
    scenario = stored.scenario(name)
    assert all(scenario.control not in v.expect for v in scenario.variants.values())


@pytest.mark.parametrize("name", CLAIMS)
def test_claim_has_both_sides(name: str) -> None:
    """A claim has its seed, an outcome that leaky shows, and a fix that its variant shows."""
    scenario = stored.scenario(name)
    assert scenario.seed
    leaky = scenario.variants["leaky"].expect
    shown = [
        words(told) <= words(leaky.get(gauge, "")) for gauge, told in scenario.symptoms.items()
    ]
    some = "partly" if set(scenario.symptoms) & set(leaky) else "not reproduced"
    is_constructed = scenario.variants["leaky"].origin == CONSTRUCTED
    outcome = "reproduced" if all(shown) and not is_constructed else some
    assert scenario.outcome == (outcome if scenario.symptoms else None)
    fix = catalog.deciding_fix(scenario)
    if scenario.fix and fix:
        assert (scenario.fix == "holds") == (not fix.expect)
    if fixed := scenario.variants.get("fixed"):
        assert not fixed.expect


@pytest.mark.parametrize("name", NAMES)
def test_a_row_says_whose_code_runs_and_when_it_leaks(name: str) -> None:
    """Each row has a language; each claim a condition, and code from the document or ours."""
    scenario = stored.scenario(name)
    assert bool(scenario.language) == bool(scenario.seed)
    assert bool(scenario.condition) == bool(scenario.claim)
    assert all(variant.origin in get_args(Origin) for variant in scenario.variants.values())
    assert not [*catalog.claim_problems(scenario)]


@pytest.mark.parametrize("name", CONTROLS)
def test_null_control_expects_nothing(name: str) -> None:
    """A file without a claim has one variant, and expects no leak of it."""
    scenario = stored.scenario(name)
    assert list(scenario.variants) == ["control"]
    assert not scenario.variants["control"].expect
    assert scenario.gauges


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, marks=stored.marks(name)) for name in NAMES])
def test_comes_out_as_declared(name: str, tmp_path: Path) -> None:
    """The leak is found where it is, nothing is found where it is not, and claim and fix hold."""
    judged = measured(name, tmp_path)
    assert judged.ok, explain(judged)


@pytest.mark.slow
def test_memray_names_the_line_of_the_stored_capture(tmp_path: Path) -> None:
    """Run again, a leak of memory has the function, the file and the rate that are stored."""
    capture("arc/auth_cache", variants=["leaky"], instruments={"memray"}, out=tmp_path)
    folders = (stored.CAPTURES, tmp_path)
    before, after = (
        stacks.sites(load.load(folder / "arc/auth_cache/leaky").select(instrument="memray")).iloc[0]
        for folder in folders
    )
    assert (after["file"], after["function"]) == (before["file"], before["function"])
    # Objects have other sizes in other versions of Python.
    assert after["bytes_per_step"] == pytest.approx(before["bytes_per_step"], rel=0.15)
