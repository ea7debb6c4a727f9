"""Capture and judge in turns until the verdict is certain or the time is up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from resleak.analysis import verdicts as claims
from resleak.analysis.verdicts import VariantVerdict
from resleak.captures import load
from resleak.captures.frames import Captures
from resleak.harness import runner
from resleak.harness.plan import CaptureOptions
from resleak.harness.spawn import describe
from resleak.workload import resolve


@dataclass(frozen=True)
class Look:
    """A number of runs, and of steps as a multiple of the declared ones."""

    factor: int
    runs: int


#: The declared steps come first: fewer show no bend in what only fills (docs/decisions/0019).
LOOKS = (Look(1, 3), Look(2, 5), Look(4, 5), Look(8, 5), Look(16, 5), Look(32, 5))
#: Called at the begin of each look with its steps, its runs and the variants in it.
OnLook = Callable[[int, int, list[str]], None]


@dataclass
class Outcome:
    """How far it came.

    Attributes
    ----------
    steps : dict of str to int
        Steady steps of the last look at each variant.
    verdicts : dict of str to str
        What the last look at each variant showed.
    undecided : dict of str to str
        What is open still, and what it would take, by variant.
    spent_s : float
        Seconds it took.
    """

    steps: dict[str, int] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)
    undecided: dict[str, str] = field(default_factory=dict)
    spent_s: float = 0.0

    def note(self, captures: Captures, steps: dict[str, int]) -> None:
        """Record the verdicts of a look."""
        judged = claims.judge(captures).variants
        self.steps |= steps
        self.verdicts |= {name: judged[name].verdict for name in steps}
        self.undecided = {name: _open(judged[name]) for name in steps if judged[name].undecided}


def capture_until_sure(
    scenario: str,
    options: CaptureOptions | None = None,
    *,
    budget_s: float,
    on_look: OnLook = lambda *_: None,
    **changes: Any,
) -> Outcome:
    """Capture a scenario, with the gauges alone, until each of its variants is decided.

    `budget_s` limits the looks beyond the declared steps: one that would not end by then is not
    begun. The captures of the last look at each variant stay. Runs and steps are chosen here.
    """
    options = replace(options or CaptureOptions(), stacks=False, **changes)
    declared = describe(resolve.find(scenario), options.python)["scenario"]
    todo = list(options.variants or declared["variants"])
    began, outcome, per_step = time.monotonic(), Outcome(), 0.0
    for look in LOOKS:
        steps = declared["steps"] * look.factor
        work = steps * look.runs * len(todo)
        if not todo or (look.factor > 1 and outcome.spent_s + per_step * work > budget_s):
            break
        on_look(steps, look.runs, todo)
        runner.capture(scenario, replace(options, variants=todo, steps=steps, runs=look.runs))
        captures = load.load(Path(options.out) / declared["name"])
        outcome.note(captures, dict.fromkeys(todo, steps))
        spent = time.monotonic() - began
        per_step, outcome.spent_s = (spent - outcome.spent_s) / work, spent
        todo = list(outcome.undecided)
    return outcome


def _open(variant: VariantVerdict) -> str:
    """Return what is undecided, and what would decide it."""
    undecided = (one for one in variant.gauges if one.gauge in variant.undecided)
    return "; ".join(f"{one.gauge} {one.reason}" for one in undecided)
