"""The results of a sweep, from its store alone: a verdict per cell, corrected over the sweep."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import false_discovery_control

from resleak import formatting
from resleak.analysis import verdicts
from resleak.analysis.gauge_verdict import ALPHA, GaugeVerdict
from resleak.analysis.rows import SCHEMA_VERSION, Rows, plain
from resleak.captures import untrusted
from resleak.captures.frames import Captures
from resleak.captures.locks import temporary_folder
from resleak.captures.manifest import now
from resleak.captures.store.record import KEY, Record
from resleak.captures.store.store import Store
from resleak.errors import StoreError
from resleak.experiments.sweep.plan import Cell, Expansion
from resleak.experiments.sweep.task import ENVIRONMENT, Outcome
from resleak.workload.verdict_words import LEAK, UNDECIDED

#: Words of a cell besides the verdicts: a run raised or crashed, cannot be run, is yet to come.
FAILED, ABSENT, MISSING = "failed", "cannot run", "not run"


@dataclass(frozen=True, kw_only=True)
class CellNote:
    """A cell of a sweep: what its column and row are, and the keys of its runs."""

    scenario: str
    variant: str
    label: str
    params: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    keys: list[str] = field(default_factory=list)
    #: The keys of replicates in later rounds, which only undecided cells get.
    later: list[str] = field(default_factory=list)
    #: Why it cannot be run at all.
    absent: str = ""

    @property
    def name(self) -> tuple[str, ...]:
        """The fields that tell it from other cells."""
        params = repr(sorted(self.params.items()))
        return self.scenario, self.variant, self.label, params, str(self.seed)


@dataclass(frozen=True)
class SweepNote:
    """A sweep as its store has it."""

    plan: str
    cells: list[CellNote]
    #: The time, by which a later sweep of a plan takes the place of an earlier one.
    written: str = ""

    def __post_init__(self) -> None:
        if not all(KEY.fullmatch(key) for one in self.cells for key in [*one.keys, *one.later]):
            raise ValueError("it names runs by other things than keys")

    @classmethod
    def of(cls, expansion: Expansion, name: str) -> SweepNote:
        """Return the note of an expanded plan."""
        notes: dict[tuple[str, ...], CellNote] = {}
        for cell in expansion.cells:
            one = note_of(cell)
            one = notes.setdefault(one.name, one)
            for number in range(expansion.plan.rounds):
                keys = one.later if number else one.keys
                keys.extend(run.key for run in expansion.rounds(number, [cell]))
        for absent in expansion.absent:
            variants = [n.variant for n in notes.values() if n.scenario == absent.scenario]
            for variant in dict.fromkeys(variants or ["–"]):
                one = CellNote(
                    scenario=absent.scenario, variant=variant, label=absent.label,
                    absent=absent.message,
                )  # fmt: skip
                notes.setdefault(one.name, one)
        return cls(plan=name, cells=list(notes.values()), written=now())

    @classmethod
    def newest(cls, store: Store, prefix: str = "") -> SweepNote:
        """Return the sweep of a plan, or all sweeps of a store as one, or raise StoreError."""
        found = []
        for name, value in store.notes("sweeps", prefix).items():
            try:
                found.append(untrusted.build(cls, value))
            except ValueError as error:
                raise StoreError(f"sweep {name} in the store is damaged ({error})") from None
        if not found:
            raise StoreError(f"no sweep of this plan is in {store.url}; run it first")
        found.sort(key=lambda note: note.written)
        cells = {one.name: one for note in found for one in note.cells}
        plans = dict.fromkeys(note.plan for note in found)
        return cls(", ".join(plans), list(cells.values()), found[-1].written)


def note_of(cell: Cell) -> CellNote:
    """Return the note of a cell, without keys."""
    spec = cell.spec
    return CellNote(
        scenario=spec.scenario, variant=spec.variant, label=cell.environment.label,
        params=dict(cell.params), seed=spec.seed,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CellVerdict:
    """The verdict on a cell.

    `p` is the smallest probability of its growth by chance, corrected for its gauges (Holm), `q`
    the same corrected for all cells of the sweep (Benjamini–Hochberg).
    """

    scenario: str
    variant: str
    label: str
    params: str = ""
    seed: int = 0
    verdict: str
    sentence: str = ""
    p: float = float("nan")
    q: float = float("nan")
    runs: int = 0
    planned: int = 0
    host_class: str = ""
    gauges: Rows[GaugeVerdict] = field(default_factory=lambda: Rows(GaugeVerdict), repr=False)


@dataclass(frozen=True)
class SweepResult:
    """All cells of a sweep, judged."""

    note: SweepNote
    cells: Rows[CellVerdict]
    outcomes: Counter[str] = field(default_factory=Counter)
    problems: tuple[str, ...] = ()

    @cached_property
    def counts(self) -> Counter[str]:
        """Cells by word."""
        return Counter(one.verdict for one in self.cells)

    @property
    def is_complete(self) -> bool:
        """True if each planned run is stored."""
        return all(one.runs >= one.planned and one.verdict != ABSENT for one in self.cells)

    @property
    def is_clean(self) -> bool:
        """True if it is complete, and no cell leaks, hangs or failed."""
        return self.is_complete and not set(self.counts) - {"flat", "plateau", UNDECIDED}

    @property
    def sentence(self) -> str:
        """The answer first: cells by verdict, then runs."""
        words = ", ".join(f"{count} {word}" for word, count in self.counts.most_common())
        stored, planned = (sum(getattr(one, n) for one in self.cells) for n in ("runs", "planned"))
        cells = formatting.counted(len(self.cells), "cell")
        return f"{cells}: {words}. {stored} of {planned} planned runs are stored."

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "plan": self.note.plan,
            "cells": plain(self.cells),
            "complete": self.is_complete,
            "outcomes": dict(self.outcomes),
            "problems": list(self.problems),
            "sentence": self.sentence,
        }


def captures(store: Store, note: SweepNote, label: str, root: Path) -> Captures:
    """Return the captures of all cells with a label, such as ``httpx==0.28``, below a folder."""
    keys = [key for one in note.cells if one.label == label for key in [*one.keys, *one.later]]
    return store.fetch(store.records(sorted(store.keys().intersection(keys))), root)


def judged(
    store: Store, note: SweepNote, cache: dict[tuple[str, ...], CellVerdict] | None = None
) -> SweepResult:
    """Judge all cells of a sweep by what is stored; `cache` has the cells by label and runs."""
    cache = {} if cache is None else cache
    with temporary_folder() as folder:
        judge = _Judge(store, folder)
        cells = []
        for cell in note.cells:
            keys = tuple(key for key in [*cell.keys, *cell.later] if key in judge.stored)
            judged = (cell.label, *keys)
            if judged not in cache or not keys:
                cache[judged] = judge.cell(cell, keys)
            cells.append(cache[judged])
    return SweepResult(note, Rows(CellVerdict, corrected(cells)))


def corrected(cells: Iterable[CellVerdict]) -> list[CellVerdict]:
    """Withdraw leaks that are not significant given the number of cells."""
    cells = list(cells)
    p = np.array([one.p for one in cells])
    tested = np.isfinite(p)
    q = np.full(len(p), np.nan)
    if tested.any():
        q[tested] = false_discovery_control(np.clip(p[tested], 0.0, 1.0))
    return [
        replace(one, q=value, verdict=UNDECIDED, sentence="not significant among so many cells")
        if one.verdict == LEAK and value >= ALPHA
        else replace(one, q=value)
        for one, value in zip(cells, q.tolist(), strict=True)
    ]


class _Judge:
    """Judges cells of one store; captures are fetched below a folder."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self._folder = store, folder
        self.stored = store.keys()
        self._failures: dict[str, Outcome] = {}
        for key, value in store.notes("failures").items():
            with suppress(ValueError):
                self._failures[key] = untrusted.build(Outcome, value)
        self._controls: dict[str, Captures | None] = {}

    def cell(self, note: CellNote, keys: Sequence[str]) -> CellVerdict:
        """Return the verdict on a cell by these of its runs."""
        row = CellVerdict(
            scenario=note.scenario, variant=note.variant, label=note.label, seed=note.seed,
            params=", ".join(f"{name}={value}" for name, value in note.params.items()),
            verdict=ABSENT if note.absent else MISSING, sentence=note.absent,
            runs=len(set(keys) & set(note.keys)), planned=len(note.keys),
        )  # fmt: skip
        records = list(self._store.records(keys))
        if broken := [one for one in records if not one.manifest.is_complete]:
            end = broken[0].manifest.exit
            many = f"{len(broken)} of {len(records)} runs {end.status} in {end.phase}"
            return replace(row, verdict=FAILED, sentence=f"{many}: {end.error}".rstrip(": "))
        if not any(one.spec.instrument == "gauges" for one in records):
            failures = [self._failures[key] for key in note.keys if key in self._failures]
            if any(one.kind == ENVIRONMENT for one in failures):
                row = replace(row, verdict=ABSENT)
            return replace(row, sentence=failures[0].message) if failures else row
        return self._judged(row, records)

    def _judged(self, row: CellVerdict, records: list[Record]) -> CellVerdict:
        classes = Counter(one.manifest.host_class for one in records)
        ((host_class, _),) = classes.most_common(1)
        records = [one for one in records if one.manifest.host_class == host_class]
        folder = self._folder / records[0].key
        control = self._control(records[0].host)
        judgement = verdicts.judge(self._store.fetch(records, folder), control)
        shutil.rmtree(folder, ignore_errors=True)
        variant = judgement.variants[row.variant]
        ps = [one.p for one in variant.gauges if one.gauge in variant.evidence and one.p == one.p]
        left_out = sum(classes.values()) - len(records)
        mixed = f"; {left_out} runs of other host classes left out" if left_out else ""
        return replace(
            row, verdict=variant.verdict, sentence=judgement.why(row.variant) + mixed,
            gauges=variant.gauges, p=min(ps, default=float("nan")), host_class=host_class,
        )  # fmt: skip

    def _control(self, host: str) -> Captures | None:
        """Return the runs of a host that do nothing: they give its noise floors."""
        if host not in self._controls:
            keys = self._store.notes("canaries", f"{host}-").values() if host else ()
            records = [
                one
                for one in self._store.records(self.stored.intersection(map(str, keys)))
                if one.manifest.is_complete and one.spec.canary.startswith(host)
            ]
            folder = self._folder / "canaries" / host
            self._controls[host] = self._store.fetch(records, folder) if records else None
        return self._controls[host]
