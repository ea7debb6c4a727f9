"""Positive control: plant a leak as large as the detection limit, and detect it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from resleak import formatting
from resleak.analysis import verdicts
from resleak.analysis.verdicts import ScenarioVerdict
from resleak.captures import load
from resleak.captures.frames import Captures
from resleak.captures.locks import temporary_folder
from resleak.harness import runner
from resleak.harness.plan import CaptureOptions
from resleak.workload.verdict_words import CLEAN, LEAK

#: The gauge that counts every byte a planted leak takes.
GAUGE = "heap"


@dataclass(frozen=True)
class Control:
    """The result of a planted leak."""

    variant: str
    #: Bytes per step: the detection limit of the variant.
    planted: float
    #: Of the heap.
    verdict: str
    #: The measured rate and its 95 % confidence interval, in bytes per step.
    per_step: float
    low: float
    high: float

    @property
    def is_detected(self) -> bool:
        """True if the planted leak was detected."""
        return self.verdict == LEAK

    def __str__(self) -> str:
        planted = f"{formatting.rate(self.planted, 'B')} planted into {self.variant}"
        rate = f"{formatting.rate(self.per_step, 'B')} {formatting.interval(self.low, self.high)}"
        return (
            f"positive control: {planted}: {'found' if self.is_detected else 'NOT found'}, {rate}"
        )


def check(scenario: str, captures: Captures, judgement: ScenarioVerdict) -> Iterator[Control]:
    """Plant a leak into every variant whose heap is flat, and judge as many runs again."""
    for name, variant in judgement.variants.items():
        heap = variant.gauge(GAUGE)
        if heap is None or heap.verdict not in CLEAN:
            continue
        runs = captures.select(variant=name, instrument="gauges")
        first, limit = runs[0].manifest, heap.detection_limit
        with temporary_folder() as folder:
            options = CaptureOptions(
                variants=[name], runs=len(runs), steps=first.steps, seed=first.seed,
                params=first.params, stacks=False, out=folder, plant=limit,
            )  # fmt: skip
            runner.capture(scenario, options)
            heap = verdicts.judge(load.load(folder)).variants[name].gauge(GAUGE)
        assert heap is not None
        yield Control(name, limit, heap.verdict, heap.per_step, heap.low, heap.high)
