"""Runs share slots, and go on together as far as they were told."""

from __future__ import annotations

import threading
from pathlib import Path

from resleak.harness.looks import Meeting, Slots
from resleak.harness.plan import Look


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
