"""What leaves growth undecided: containers that are filling, memory that nobody counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace

import pandas as pd

from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.captures.frames import Captures
from resleak.workload.gauges import BUILTIN
from resleak.workload.verdict_words import UNDECIDED

#: Share of a gauge's growth that must be explained; sizes of entries are estimates.
_ENOUGH = 0.5


@dataclass(frozen=True)
class Filling:
    """A container that was not full when the measurement ended.

    `size` and `bound` are entries, `per_step` entries per step, `entry_bytes` and `entry_objects`
    what one holds, `path` the reference chain that leads to it.
    """

    path: str
    size: float
    bound: int
    per_step: float
    entry_bytes: float
    entry_objects: float

    @property
    def steps_left(self) -> float:
        """Steps until it is full, at the rate so far."""
        return (self.bound - self.size) / self.per_step

    def __str__(self) -> str:
        left = f"full after about {self.steps_left:,.0f} more steps"
        return f"filling: {self.size:,.0f} of {self.bound:,} in {self.path}, {left}"


def still_filling(captures: Captures, bounded: pd.DataFrame) -> list[Filling]:
    """Return the containers that are not full after the steps of the gauges' runs."""
    inspected = captures.select(instrument="forensics")
    if bounded.empty or not inspected:
        return []
    measured = max(run.manifest.steps for run in captures.select(instrument="gauges"))
    more = measured - inspected[0].manifest.steps
    columns = [field.name for field in fields(Filling)]
    rows = (Filling(*row) for row in bounded[columns].itertuples(index=False))
    grown = (replace(row, size=row.size + max(0, more) * row.per_step) for row in rows)
    return [row for row in grown if row.size < row.bound]


def without_filling(
    verdicts: Iterable[GaugeVerdict], filling: list[Filling]
) -> Iterator[GaugeVerdict]:
    """Yield the verdicts; a leak of memory that what is filling explains is undecided instead."""
    rates = {
        "memory": sum(one.per_step * one.entry_bytes for one in filling),
        "objects": sum(one.per_step * one.entry_objects for one in filling),
    }
    rates["resident"] = rates["memory"]
    for verdict in verdicts:
        explained = rates.get(verdict.family, 0.0)
        if verdict.is_leak and explained >= _ENOUGH * verdict.per_step:
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
