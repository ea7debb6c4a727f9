"""Runs share slots, go on together as they were told, and halve slow steps equally."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from resleak.experiments.investigate import investigate
from resleak.harness.plan import Look
from resleak.harness.runner import Meeting, Pace, Slots

SLOW = """
import time

KEPT = []

def step(i):
    time.sleep({step_s} if i else 1)
    KEPT.append(open("/dev/null"))
"""


def test_a_slot_is_left_once() -> None:
    """A run that leaves its slot twice, at a look and at its end, makes room for one other."""
    slots = Slots(1)
    assert slots.take("one")
    slots.leave("one")
    slots.leave("one")
    assert slots.take("two", 0.0)
    assert not slots.take("three", 0.0)


def test_nobody_is_asked_again_before_the_agreed_steps() -> None:
    """A decision for four times the steps holds at twice the steps, too; 0 ends the run."""
    asked: list[int] = []
    answers = {10: 4, 40: 0}

    def decide(look: Look) -> int:
        asked.append(look.steps)
        return answers[look.steps]

    meeting = Meeting({"one"}, decide, list, Slots(1), threading.Event())
    going_on = [meeting.attend("one", Path, steps, 0.1) for steps in (10, 20, 40)]
    assert going_on == [True, True, False]
    assert asked == [10, 40]


@pytest.mark.parametrize(
    ("step_s", "often"), [(0.0, 0), (0.03, 0), (0.04, 1), (0.1, 2), (0.2, 3), (0.4, 4), (60.0, 4)]
)
def test_steps_are_halved_until_they_fit(step_s: float, often: int) -> None:
    """Three rounds of the steps fit 30 s; 15 are measured at least."""
    assert Pace(30.0, 3).halvings(step_s, step_s, steps=240, warmup=60) == often


def test_first_run_decides_for_all() -> None:
    """Runs of a variant take as many steps, however long theirs take."""
    pace = Pace(30.0, 3)
    first, *others = (pace.halvings(one, one, steps=240, warmup=60) for one in (0.1, 9.0, 0.0))
    assert others == [first] * 2


def test_quick_steps_are_all_taken() -> None:
    """Starting the processes takes longer than quick steps: fewer of them save nothing."""
    assert Pace(0.1, 3).halvings(9e-4, 9e-4, steps=240, warmup=60) == 0
    assert Pace(0.1, 3).halvings(2e-3, 2e-3, steps=240, warmup=60) == 4


def test_quick_steps_are_all_taken_on_a_busy_machine() -> None:
    """Time in which a step waits for a processor does not make it slow."""
    assert Pace(0.1, 3).halvings(8e-3, 9e-4, steps=240, warmup=60) == 0


def test_nothing_is_halved_without_a_budget() -> None:
    """A number of steps that was asked for is taken."""
    assert Pace(None, 3).halvings(1e9, 1e9, steps=240, warmup=60) == 0


@pytest.mark.parametrize(("step_s", "steps"), [(0.06, 15), (0.0, 240)])
def test_leak_in_slow_steps_is_found_in_few(tmp_path: Path, step_s: float, steps: int) -> None:
    """Slow steps are few in every run, under each instrument, and the leak has its line."""
    file = tmp_path / "mine.py"
    file.write_text(SLOW.format(step_s=step_s))
    found = investigate(file, budget_s=3.0, out=tmp_path / "captures")
    assert {one.manifest.steps for one in found.captures} == {steps}
    assert found.leaking() >= {"fds"}
    (cause,) = found.variant.found.causes
    assert cause.site is not None
    assert cause.site.line == 8
    assert cause.chain.startswith("mine.KEPT")
    assert ("Steps are slow" in str(found)) == (steps < 240)


def test_fewer_steps_that_were_asked_for_are_not_called_slow(tmp_path: Path) -> None:
    """With --steps below the usual number the answer says nothing of slow steps."""
    file = tmp_path / "mine.py"
    file.write_text(SLOW.format(step_s=0))
    found = investigate(file, steps=100, stacks=False, out=tmp_path / "captures")
    assert {one.manifest.steps for one in found.captures} == {100}
    assert "slow" not in str(found)
