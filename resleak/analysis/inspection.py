"""Explain symptoms: what keeps a process alive, blocks its steps, and retains what it leaks.

And give reasons to leave growth undecided: containers that are filling, memory not counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pandas as pd

from resleak import formatting
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.analysis.rows import Rows
from resleak.captures.frames import Captures
from resleak.errors import StoreError
from resleak.workload.gauges import BUILTIN
from resleak.workload.verdict_words import BROKEN, HANGS, UNDECIDED

#: Tables of a run with the instrument ``forensics``; see ``data/README.md`` for their columns.
TABLES = ("exit", "stalls", "locks", "lost", "retention", "bounded", "cycles")
#: Smallest share of the steps' time for a line that blocks the event loop, or runs, to be named.
_MIN_BLOCKING, _MIN_RUNNING, _NEVER_RESTS = 0.2, 0.5, 0.9
#: Seconds below which a line was sampled too seldom to be named: twenty samples.
_MIN_SAMPLED_S = 0.1
#: Most items in one sentence.
_MOST = 3
#: Share of a gauge's growth that must be explained; sizes of entries are estimates.
_ENOUGH = 0.5
#: Resident memory that follows the heap grows by at most so many times its rate.
_RESIDENT = 2.0
#: Steps in all, relative to those until a container is full, that show that nothing else grows.
_AFTERWARDS = 1.5
_VERBS = {"runs": ("runs", "run"), "waits": ("waits", "wait")}
_MADE = {
    "thread": "started",
    "executor": "submitted",
    "task": "created",
    "process": "started",
    "atexit handler": "registered",
    "finalizer": "registered",
}


@dataclass
class Culprits:
    """The inspection of one variant; ``data/README.md`` describes its tables.

    `status` is how the inspected run ended; `ending` has ``by`` (``itself``, ``force`` or
    ``a kill``), and of a forced end its ``thread``, ``at`` and ``made_at``.
    """

    status: str = ""
    ending: Mapping[str, str] = field(default_factory=dict)
    exit: pd.DataFrame = field(default_factory=pd.DataFrame)
    stalls: pd.DataFrame = field(default_factory=pd.DataFrame)
    locks: pd.DataFrame = field(default_factory=pd.DataFrame)
    lost: pd.DataFrame = field(default_factory=pd.DataFrame)
    retention: pd.DataFrame = field(default_factory=pd.DataFrame)
    bounded: pd.DataFrame = field(default_factory=pd.DataFrame)
    cycles: pd.DataFrame = field(default_factory=pd.DataFrame)

    def sentences(self, symptoms: Mapping[str, set[str]], *, timed: bool = True) -> list[str]:
        """Return the cause of each symptom, as far as the inspection shows it."""
        words = set().union(*symptoms.values())
        causes = [*self._deadlock()] if symptoms else []
        if HANGS in words and not causes:
            blockers = self._blockers(self._holding) or "the cause is unknown"
            if self.status == "hung":
                causes.append(f"does not end: {blockers}{self._losses()}")
            elif self.status == "deadline":
                causes.append(f"does not get on: {blockers}")
        if BROKEN in words:
            causes += [*self._late_end(symptoms), *self._stall(symptoms, timed)]
        if "leak" in words:
            for row in _rows(self.retention, 1):
                rate = f"{formatting.number(row.per_step)} {row.type} per step"
                causes.append(f"retains {rate}: {row.path}")
        if "deferred" in words:
            for row in _rows(self.cycles, 1):
                holds = f", with {row.holds}" if row.holds else ""
                rate = f"{formatting.number(row.per_step)} per step"
                causes.append(f"reference cycle, {rate}: {row.cycle}{holds}")
        return causes

    @property
    def _holding(self) -> pd.DataFrame:
        return self.exit[self.exit["holds"]] if len(self.exit) else self.exit

    def _blockers(self, rows: pd.DataFrame) -> str:
        groups = rows.groupby(["what", "at"], sort=False) if len(rows) else ()
        return "; ".join([_blocker(group.iloc[0], len(group)) for _, group in groups][:_MOST])

    def _late_end(self, symptoms: Mapping[str, set[str]]) -> Iterator[str]:
        """Say what delays the end of the process, or what a forced end cuts off."""
        rows = self._holding
        if {"exit_s", "cleanup_s"} & set(symptoms) and self.status != "hung" and len(rows):
            row = rows.sort_values("seconds", ascending=False).iloc[0]
            seconds = formatting.amount(float(row["seconds"]), "s")
            yield f"ends late: for {seconds} {_blocker(row, 1)}"
        if self.ending.get("by") == "force":
            made = f", started at {self.ending['made_at']}" if self.ending["made_at"] else ""
            others = self._blockers(rows[rows["name"].ne(self.ending["thread"])])
            rest = f"; it cuts off {others}" if others else ""
            by = f"thread {self.ending['thread']!r}{made}"
            yield f"ends by force: os._exit in {by}{rest}{self._losses()}"

    def _losses(self) -> str:
        amounts = []
        for row in _rows(self.lost, _MOST):
            unit = "B" if row.unit == "B" else ""
            amount = formatting.amount(float(row.amount), unit) + ("" if unit else f" {row.unit}")
            amounts.append(f"{amount} in a {row.kind} ({row.name})")
        return f"; lost with it: {', '.join(amounts)}" if amounts else ""

    def _deadlock(self) -> Iterator[str]:
        rows = self.locks[self.locks["deadlock"]] if len(self.locks) else self.locks
        if len(rows):
            yield "deadlock: " + "; ".join(
                f"thread {row.thread!r} waits at {row.at} for the lock that"
                f" {row.holder!r} took at {row.taken_at}"
                for row in _rows(rows.drop_duplicates(["at", "taken_at"]), _MOST)
            )

    def _stall(self, symptoms: Mapping[str, set[str]], timed: bool) -> Iterator[str]:
        # Where no limit of time is broken, waiting explains nothing; never resting may.
        if self.stalls.empty:
            return
        is_named = ~self.stalls["at"].str.match("<stdlib>|$")
        rows = self.stalls[is_named & self.stalls["seconds"].gt(_MIN_SAMPLED_S)]
        least = _MIN_RUNNING if timed else _NEVER_RESTS
        blocks = rows[rows["kind"].eq("blocks the loop") & rows["share"].gt(_MIN_BLOCKING)]
        rests = rows["waits_in"].ne("") & rows["loop"].eq("")  # a call, outside an event loop
        is_running = rows["kind"].eq("runs") & (timed | ~rests)
        runs = rows[is_running & rows["share"].gt(least)]
        slow = rows[rows["kind"].ne("runs")] if "step_s" in symptoms else rows[:0]
        candidates = (blocks, runs, slow) if timed else (runs,)
        for row in _rows(next((part for part in candidates if len(part)), rows[:0]), 1):
            time = f"{formatting.share(row.share)} of the time of its steps"
            longest = formatting.amount(float(row.longest_s), "s")
            loop = f", in the loop at {row.loop}" if row.loop else ""
            within = f" ({row.waits_in})" if row.waits_in else ""
            yield f"{row.kind} {time} at {row.at}{within}{loop}, {longest} at a time"

    def still_filling(self, captures: Captures) -> list[Filling]:
        """Return the containers that explain growth in the runs with the gauges."""
        inspected = captures.select(instrument="forensics")
        if self.bounded.empty or not inspected:
            return []
        steps = max(run.manifest.steps for run in captures.select(instrument="gauges"))
        more = max(0, steps - inspected[0].manifest.steps)
        rows = Rows.of(Filling, self.bounded.assign(steps=steps))
        grown = (replace(row, size=row.size + more * row.per_step) for row in rows)
        return [row for row in grown if steps < _AFTERWARDS * row.filled_at]


def inspected(captures: Captures) -> Culprits:
    """Return the inspection of one variant; empty if it was not inspected."""
    tables = {}
    for run in captures.select(instrument="forensics")[:1]:
        for name in TABLES:
            with suppress(StoreError):
                tables[name] = run.table(name)
        return Culprits(run.exit.status, asdict(run.manifest.ending), **tables)
    return Culprits()


def _rows(table: pd.DataFrame, most: int) -> Iterator[Any]:
    yield from table.head(most).itertuples()


def _blocker(row: pd.Series, count: int) -> str:
    """Say who blocks, where it was created, and where it stands."""
    made = f", {_MADE[row['what']]} at {row['made_at']}" if row["made_at"] else ""
    what, name = row["what"], f" {row['name']!r}" if row["name"] else ""
    if what == "executor":
        name = "a call in an executor" if count == 1 else f"{count} calls in an executor"
    elif what in ("clean-up", "interpreter"):
        name = f"the {what}"
    elif count > 1:
        name = f"{count} of {what}"
    else:
        daemon = {"yes": " (a daemon)", "no": " (not a daemon)"}.get(row["daemon"], "")
        name = f"{'' if name else 'a '}{what}{name}{daemon}"
    name += made
    if what == "process":
        return name
    separator = ", " if made else " "
    if row["loop"]:
        return f"{name}{separator}spins in the loop at {row['loop']}, at {row['at']}"
    verb = _VERBS.get(row["state"], ("is", "are"))[count > 1]
    within = f" in {row['waits_in']}" if row["waits_in"] else ""
    return f"{name}{separator}{verb}{within} at {row['at']}"


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


def without_filling(
    verdicts: Sequence[GaugeVerdict], filling: list[Filling]
) -> Iterator[GaugeVerdict]:
    """Yield the verdicts; a leak of memory that what is filling explains is undecided instead."""
    # What explains the heap explains its blocks and objects, and as many resident pages.
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
