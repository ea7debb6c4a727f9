"""Make sure of verdicts: measure until decided, and detect a planted leak."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from resleak import formatting
from resleak.analysis import verdicts
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.captures import load
from resleak.captures.frames import Captures
from resleak.captures.locks import temporary_folder
from resleak.harness import runner
from resleak.harness.plan import CaptureOptions
from resleak.harness.spawn import describe
from resleak.workload import resolve
from resleak.workload.verdict_words import CLEAN

#: Steps of each look, as a multiple of the declared ones, and its runs. The declared steps come
#: first: fewer show no changepoint in what only fills (docs/decisions/0019).
LOOKS = ((1, 3), (2, 5), (4, 5), (8, 5), (16, 5), (32, 5))


@dataclass(frozen=True)
class Outcome:
    """The last look at a variant; `undecided` says what would decide it."""

    steps: int
    verdict: str
    undecided: str


def capture_until_sure(
    scenario: str,
    options: CaptureOptions,
    *,
    budget_s: float,
    on_look: Callable[[int, int, list[str]], None] = lambda *_: None,
) -> dict[str, Outcome]:
    """Capture a scenario, with the gauges alone, until each of its variants is decided.

    Runs and steps are chosen here; beyond the declared steps no look is begun that would not end
    within `budget_s`. `on_look` gets the steps, the runs and the variants of each. The captures of
    the last look at each variant stay.
    """
    options = replace(options, stacks=False)
    declared = describe(resolve.find(scenario), options.python)["scenario"]
    todo = list(options.variants or declared["variants"])
    outcomes: dict[str, Outcome] = {}
    began, spent_s, per_step_s = time.monotonic(), 0.0, 0.0
    for factor, runs in LOOKS:
        steps = declared["steps"] * factor
        work = steps * runs * len(todo)
        if not todo or (factor > 1 and spent_s + per_step_s * work > budget_s):
            break
        on_look(steps, runs, todo)
        runner.capture(scenario, replace(options, variants=todo, steps=steps, runs=runs))
        judgement = verdicts.judge(load.load(Path(options.out) / declared["name"]))
        for name in todo:
            variant = judgement.variants[name]
            undecided = (one for one in variant.gauges if one.gauge in variant.undecided)
            reasons = "; ".join(f"{one.gauge} {one.reason}" for one in undecided)
            outcomes[name] = Outcome(steps, variant.verdict, reasons)
        before_s, spent_s = spent_s, time.monotonic() - began
        per_step_s = (spent_s - before_s) / work
        todo = [name for name in todo if outcomes[name].undecided]
    return outcomes


@dataclass(frozen=True)
class Control:
    """The verdict on the heap of a variant with a planted leak, in bytes per step."""

    planted: float
    heap: GaugeVerdict

    @property
    def is_detected(self) -> bool:
        """True if the planted leak was detected."""
        return self.heap.is_leak

    def __str__(self) -> str:
        planted = f"{formatting.rate(self.planted, 'B')} planted into {self.heap.variant}"
        interval = formatting.interval(self.heap.low, self.heap.high)
        rate = f"{formatting.rate(self.heap.per_step, 'B')} {interval}"
        found = "found" if self.is_detected else "NOT found"
        return f"positive control: {planted}: {found}, {rate}"


def positive_controls(
    scenario: str, captures: Captures, judgement: verdicts.ScenarioVerdict
) -> Iterator[Control]:
    """Plant a leak into every variant whose heap is flat, and judge as many runs again."""
    for name, variant in judgement.variants.items():
        heap = variant.gauge("heap")  # it counts every byte a planted leak takes
        if heap is None or heap.verdict not in CLEAN:
            continue
        runs = captures.select(variant=name, instrument="gauges")
        first, limit = runs[0].manifest, heap.detection_limit
        with temporary_folder() as folder:
            runner.capture(
                scenario, variants=[name], runs=len(runs), steps=first.steps, seed=first.seed,
                params=first.params, stacks=False, out=folder, plant=limit,
            )  # fmt: skip
            heap = verdicts.judge(load.load(folder)).variants[name].gauge("heap")
        assert heap is not None
        yield Control(limit, heap)
