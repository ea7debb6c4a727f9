"""The sequential capture and the positive control, on real runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from resleak.analysis import verdicts
from resleak.captures import load
from resleak.experiments import certainty
from resleak.harness import runner
from resleak.harness.child.driver import Plant
from resleak.harness.plan import CaptureOptions
from resleak.ui.cli import app

FILLING = '''"""A table that is filled in a straight line, and one that never is."""
from resleak.workload.scenario import Scenario

scenario = Scenario(gauges=("blocks",), steps=48, warmup=12, block=2)
table = []


@scenario.variant()
def leaky(step, run):
    """Keep it for ever."""
    table.append({"step": step, "body": object()})


@scenario.variant()
def full(step, run):
    """Keep no more than fits."""
    if step < 30:
        table.append({"step": step, "body": object()})


@scenario.variant()
def fixed(step, run):
    """Keep nothing."""
'''


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scenario") / "table.py"
    path.write_text(FILLING)
    return path


@pytest.fixture(scope="module")
def outcomes(file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, certainty.Outcome]:
    out = tmp_path_factory.mktemp("captures")
    return certainty.capture_until_sure(str(file), CaptureOptions(out=out), budget_s=0.0)


def test_it_stops_where_the_answer_is_certain(outcomes: dict[str, certainty.Outcome]) -> None:
    """What the declared steps decide is not run again."""
    looks = {name: (one.steps, one.undecided) for name, one in outcomes.items()}
    assert looks == {"leaky": (48, ""), "full": (48, ""), "fixed": (48, "")}


def test_it_does_not_stop_before_what_fills_is_full(outcomes: dict[str, certainty.Outcome]) -> None:
    """A table that is filled in a straight line, and is full after half of the steps."""
    found = {name: one.verdict for name, one in outcomes.items()}
    assert found["leaky"] == "leak"
    assert found["full"] in ("flat", "plateau")
    assert found["fixed"] == "flat"


@pytest.mark.parametrize("budget", ["-5s", "m", "five minutes", "nans", "1e999s"])
def test_a_budget_is_a_time(budget: str, file: Path) -> None:
    """A budget that is not a duration is refused in one line."""
    result = CliRunner().invoke(app, ["capture", str(file), "--until-sure", "--budget", budget])
    message = " ".join(result.output.replace("│", " ").split())
    assert result.exit_code == 2
    assert "is not a duration; write 90, 90s, 15m or 2h" in message


def test_runs_and_steps_are_its_own_choice(file: Path) -> None:
    """To ask for runs or steps and for as many as it takes makes no sense, and is told."""
    told = CliRunner().invoke(app, ["capture", str(file), "--until-sure", "--runs", "2"])
    assert "leave them out" in str(told.exception)


def test_the_smallest_leak_that_was_promised_is_found(tmp_path: Path) -> None:
    """Planted at the size that the verdict on a do-nothing run promises, it is found."""
    runner.capture("control/do_nothing", steps=120, stacks=False, out=tmp_path)
    captures = load.load(tmp_path)
    (control,) = certainty.positive_controls(
        "control/do_nothing", captures, verdicts.judge(captures)
    )
    assert control.is_detected
    assert control.planted < 16
    assert control.heap.low < control.planted + 0.5 * control.planted


@pytest.mark.parametrize(("rate", "kept"), [(8.0, 75), (32.0, 300), (100.0, 300), (12.8, 120)])
def test_a_planted_leak_has_the_rate_it_was_given(rate: float, kept: int) -> None:
    """So many objects are kept that their bytes come to the rate."""
    plant = Plant(rate, 300)
    for step in range(1, 301):
        plant.grow(step)
    assert sum(one is not None for one in plant._kept) == kept
