"""A thousand verdicts on runs that lose nothing, none of which may be a leak.

A null run is a window of 150 steps of a long run: its first 30 are its warm-up. Windows of one
process follow each other, as the hours of a service do; the three runs of one verdict are the same
window of three processes. What fills is full in all windows but the first. The same window of five
processes and of five others stands for before and after a change without effect.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _corpus as corpus
import _verdicts as verdicts
import pandas as pd

from resleak.captures import frames, load, storage
from resleak.harness.plan import CaptureOptions, jobs, plan
from resleak.workload.gauges import BUILTIN

#: Workloads that only churn, and one that does nothing.
NAMES = [
    "nothing",
    "batches-size=7",
    "batches-size=40",
    "buffers-largest=1000",
    "buffers-largest=100000",
    "churning_cache-mean=300",
    "churning_cache-mean=5000",
    "churning_cache-size=2000-mean=100",
    "cycles-count=20",
    "documents",
    "elastic_pool",
    "expiring-steps=50",
    "last_events-size=50",
    "maps",
    "observer",
    "temporary_files",
    "tasks",
    "weak_values",
    "workers-count=1",
    "seasonal-period=60",
]
#: Gauges that scatter at all: those that are exact are never called lower where nothing changed.
COMPARED = ("heap", "native", "blocks", "rss")
#: The first of the runs before and after: both sides read the same gauges in the same places.
BEFORE, AFTER = 1, 7
TWINS = 5
WINDOWS, STEPS, WARMUP, RUNS, SETS = 20, 150, 30, 3, 3
_SEED = 3_000_000
KEPT = corpus.KEPT.with_name("nulls")


@dataclass(frozen=True)
class Null:
    """All windows of one workload."""

    work: corpus.Workload

    @property
    def name(self) -> str:
        """Name in the rows."""
        return f"null {self.work.name}"

    @property
    def code(self) -> str:
        """Digest of the workload's code and parameters."""
        return self.work.code

    @property
    def folder(self) -> Path:
        """Folder of its captures."""
        return KEPT / f"{self.work.name}-{self.code}"

    def complete(self, _runs: int) -> bool:
        """Return True if all its runs exist."""
        return not any(True for _ in self.missing())

    def missing(self) -> Iterator[Any]:
        """Yield the missing runs."""
        options = CaptureOptions(
            runs=AFTER + TWINS - 1, seed=_SEED, params=self.work.params, steps=WINDOWS * STEPS,
            out=self.folder,
        )  # fmt: skip
        for job in jobs(plan(str(self.work.file), options)):
            if job.instrument == "gauges" and not (job.folder / storage.MANIFEST).exists():
                yield job

    def rows(self, _looks: tuple[int, ...]) -> Iterator[dict[str, Any]]:
        """Yield the verdicts on its windows, and the certificates against other runs."""
        captures = load.load(self.folder)
        trace = frames.traces(captures)
        told = {"workload": self.name, "half": "null", "code": self.code, "leaks": False}
        for start in range(1, RUNS * SETS, RUNS):
            mine = trace[trace["run"].between(start, start + RUNS - 1)]
            for window in range(WINDOWS):
                found = verdicts.verdict(_window(mine, window), captures)
                wrong = {k: v for k, v in found["gauges"].items() if v["verdict"] == "leak"}
                yield {**told, "set": start, "window": window, "verdict": found["verdict"],
                       "tool": "resleak", "gauges": wrong}  # fmt: skip
        for window in range(WINDOWS):
            sides = [_window(_five(trace, first), window) for first in (BEFORE, AFTER)]
            for gauge in COMPARED:
                found = verdicts.certified(BUILTIN[gauge], *sides)
                yield {**told, "window": window, "tool": "certificate", **found}


def groups() -> list[Null]:
    """Return all null workloads."""
    return [Null(one) for one in corpus.workloads() if one.name in NAMES]


def missing() -> Iterator[Any]:
    """Yield all missing null runs, one set per workload in turn."""
    todo = [job for group in groups() for job in group.missing()]
    yield from sorted(todo, key=lambda job: (job.run - 1) // RUNS)


def _five(trace: pd.DataFrame, first: int) -> pd.DataFrame:
    """Return five runs, numbered from one."""
    mine = trace[trace["run"].between(first, first + TWINS - 1)]
    return mine.assign(run=mine["run"] - first + 1)


def _window(trace: pd.DataFrame, window: int) -> pd.DataFrame:
    """Return one window as a run of its own."""
    first = corpus.WARMUP + window * STEPS
    steady = trace["phase"] == "steady"
    part = trace[steady & (trace["step"] > first) & (trace["step"] <= first + STEPS)]
    phase = part["step"].map(lambda step: "warmup" if step <= first + WARMUP else "steady")
    return part.assign(phase=phase, step=part["step"] - first)
