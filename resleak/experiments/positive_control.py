"""Positive control: plant a leak as large as the detection limit, and detect it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from resleak import formatting
from resleak.analysis import verdicts
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.analysis.verdicts import ScenarioVerdict
from resleak.captures import load
from resleak.captures.frames import Captures
from resleak.captures.locks import temporary_folder
from resleak.harness import runner
from resleak.harness.plan import CaptureOptions
from resleak.workload.verdict_words import CLEAN


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


def check(scenario: str, captures: Captures, judgement: ScenarioVerdict) -> Iterator[Control]:
    """Plant a leak into every variant whose heap is flat, and judge as many runs again."""
    for name, variant in judgement.variants.items():
        heap = variant.gauge("heap")  # it counts every byte a planted leak takes
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
            heap = verdicts.judge(load.load(folder)).variants[name].gauge("heap")
        assert heap is not None
        yield Control(limit, heap)
