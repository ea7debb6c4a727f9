"""Reasons to leave growth undecided: containers that are filling, memory that is not counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.analysis.rows import Rows
from resleak.captures.frames import Captures
from resleak.workload.gauges import BUILTIN
from resleak.workload.verdict_words import UNDECIDED

#: Share of a gauge's growth that must be explained; sizes of entries are estimates.
_ENOUGH = 0.5
#: Resident memory that follows the heap grows by at most so many times its rate.
_RESIDENT = 2.0
#: Steps in all, relative to those until a container is full, that show that nothing else grows.
_AFTERWARDS = 1.5


@dataclass(frozen=True)
class Filling:
    """A container that was not full when the measurement ended, or not for long enough.

    `size` and `bound` are entries, `per_step` entries per step, `entry_bytes` and `entry_objects`
    what one holds, `path` the reference chain that leads to it; `steps` were measured.
    """

    path: str
    size: float
    bound: int
    per_step: float
    entry_bytes: float
    entry_objects: float
    steps: int = 0

    @property
    def filled_at(self) -> float:
        """Step at which it is full, at the rate so far."""
        return self.steps + (self.bound - self.size) / self.per_step

    def __str__(self) -> str:
        where = f"{self.bound:,} in {self.path}"
        if self.size < self.bound:
            left = f"{self.filled_at - self.steps:,.0f} more steps"
            return f"filling: {self.size:,.0f} of {where}, full after about {left}"
        more = f"{_AFTERWARDS * self.filled_at - self.steps:,.0f} more steps would decide"
        return f"filled {where} after about {self.filled_at:,.0f} steps: {more}"


def still_filling(captures: Captures, bounded: pd.DataFrame) -> list[Filling]:
    """Return the containers that explain growth in the runs with the gauges."""
    inspected = captures.select(instrument="forensics")
    if bounded.empty or not inspected:
        return []
    steps = max(run.manifest.steps for run in captures.select(instrument="gauges"))
    more = max(0, steps - inspected[0].manifest.steps)
    rows = Rows.of(Filling, bounded.assign(steps=steps))
    grown = (replace(row, size=row.size + more * row.per_step) for row in rows)
    return [row for row in grown if steps < _AFTERWARDS * row.filled_at]


def without_filling(
    verdicts: Sequence[GaugeVerdict], filling: list[Filling]
) -> Iterator[GaugeVerdict]:
    """Yield the verdicts; a leak of memory that what is filling explains is undecided instead.

    What explains the heap explains its blocks and objects, and as many resident pages.
    """
    held = sum(one.per_step * one.entry_bytes for one in filling)
    objects = sum(one.per_step * one.entry_objects for one in filling)
    heap = next((one.per_step for one in verdicts if one.gauge == "heap"), float("inf"))
    is_heap = bool(filling) and held >= _ENOUGH * heap
    for verdict in verdicts:
        rate = _ENOUGH * verdict.per_step
        is_explained = {
            "memory": held >= rate,
            "objects": objects >= rate or is_heap,
            "resident": held >= rate or (is_heap and verdict.per_step <= _RESIDENT * heap),
        }
        if verdict.is_leak and is_explained.get(verdict.family, False):
            largest = max(filling, key=lambda one: one.per_step * one.entry_bytes)
            yield replace(verdict, verdict=UNDECIDED, reason=str(largest))
        else:
            yield verdict


def unmeasured(measured: Captures) -> Iterator[GaugeVerdict]:
    """Yield the gauge of native memory as undecided if the allocator does not tell of it."""
    run = measured[0]
    if run.manifest.allocator and not any({"heap", "native"} & {*one.trace} for one in measured):
        gauge = BUILTIN["native"]
        reason = f"{run.manifest.allocator} does not say how many bytes are in use"
        yield GaugeVerdict(
            variant=run.variant, gauge=gauge.name, family=gauge.family, unit=gauge.unit,
            verdict=UNDECIDED, runs=len(measured), reason=reason,
        )  # fmt: skip
