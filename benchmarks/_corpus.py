"""The corpus as a list of workloads, and their captures in build/accuracy."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from resleak.captures import storage
from resleak.harness.measurement import measure
from resleak.harness.plan import CaptureOptions, Plan, jobs, plan
from resleak.workload import catalog

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
KEPT = HERE.parent / "build" / "accuracy"
#: The half that the rule may be tuned on, and the half that is published; and what others wrote who
#: did not know the rule: once, from which it has learnt since, and again. Each has its own seeds.
TUNED, PUBLISHED, HELD_OUT, AGAIN = "tuned", "published", "held out", "held out again"
#: Steps of a run before the measured ones, and measured ones: 300 in all.
WARMUP, STEPS = 60, 240
SEEDS = {TUNED: 1000, PUBLISHED: 700_000, HELD_OUT: 1_400_000, AGAIN: 2_100_000}


#: Workloads that 300 steps cannot distinguish from a leak, and why; reported separately.
BEYOND = {
    "compiled_patterns": "one entry a step of a cache of 512, in a straight line",
    "last_events-size=250-body=20000": "in a straight line until 50 steps before the end",
    "least_recently_used-size=1500": "a sixth of what there is to keep is seen in 300 steps",
    "vocabulary-size=2000": "half of the words are seen in 300 steps",
    "seasonal-period=400": "the season is longer than the run",
    "sqlite_rows-rate=10000-pattern=17th": "sqlite3 forgets cursors after 200 of them: 1 700 steps",
    "duckdb_connections-pattern=17th": "the library itself keeps 250 bytes of each closed database",
    "analytical_queries": "the library itself keeps 848 bytes every 16 queries, as long as it runs",
}


@dataclass(frozen=True)
class Workload:
    """A file of the corpus with its parameters."""

    file: Path
    settings: tuple[tuple[str, Any], ...]

    @property
    def params(self) -> dict[str, Any]:
        """Parameters that differ from the file's own."""
        return dict(self.settings)

    @property
    def name(self) -> str:
        """The file's name and the parameters."""
        told = (
            f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}"
            for key, value in self.settings
        )
        return "-".join([self.file.stem, *told])

    @property
    def half(self) -> str:
        """Which half it belongs to, by a fixed hash of its name; or none, if it is held out."""
        if self.file.parent != CORPUS:
            return self.file.parent.name.replace("_", " ")
        return TUNED if int(_digest(self.name), 16) % 2 == 0 else PUBLISHED

    @property
    def scenario(self) -> Any:
        """The scenario in its file."""
        return _loaded(self.file)

    @property
    def leaks(self) -> bool:
        """Return True if it has a leak, and does not only grow."""
        return "leaky" in self.scenario.variants

    @property
    def beyond(self) -> bool:
        """Return True if 300 steps cannot distinguish it from a leak."""
        return self.name in BEYOND

    @property
    def expect(self) -> Mapping[str, str]:
        """Maps the gauge that shows its leak best to ``leak``."""
        expect: Mapping[str, str] = self.scenario.variants["leaky"].expect if self.leaks else {}
        return expect

    @property
    def code(self) -> str:
        """Digest of the workload's code and parameters."""
        files = [CORPUS / "_work.py", self.file]
        return _digest("".join(file.read_text(encoding="utf-8") for file in files) + self.name)

    @property
    def truth(self) -> Mapping[str, float]:
        """The true rates of the variant `leaky` where they are known, by gauge."""
        if not self.leaks:
            return {}
        truth: Mapping[str, float] = self.scenario.rates({**self.scenario.params, **self.params})
        return truth

    def complete(self, runs: int) -> bool:
        """Return True if all its runs exist."""
        return not any(True for _ in missing(self, runs))

    def rows(self, looks: tuple[int, ...]) -> Iterator[Mapping[str, Any]]:
        """Judge it; see `_verdicts.rows`."""
        import _verdicts

        return _verdicts.rows(self, looks)


def workloads() -> list[Workload]:
    """Return the whole corpus in random order, so that any first part is a fair sample."""
    found = [
        Workload(file, tuple(one.items()))
        for file in [*CORPUS.glob("[!_]*.py"), *CORPUS.glob("held_out*/[!_]*.py")]
        for one in _loaded(file).workloads
    ]
    return sorted(found, key=lambda one: _digest(one.name))


def folder(one: Workload, kept: Path = KEPT) -> Path:
    """Return the folder of a workload's captures."""
    return kept / f"{one.name}-{one.code}"


def missing(one: Workload, runs: int, kept: Path = KEPT) -> Iterator[Any]:
    """Yield the missing runs of a workload."""
    options = CaptureOptions(runs=runs, seed=SEEDS[one.half], params=one.params, steps=STEPS)
    for job in jobs(replace(_planned(one.file), out=folder(one, kept), options=options)):
        if job.instrument == "gauges" and not (job.folder / storage.MANIFEST).exists():
            yield job


def make(job: Any) -> None:
    """Run one job and store its capture."""
    measure(job, lambda *_: None, threading.Event())


@cache
def _loaded(file: Path) -> Any:
    if str(CORPUS) not in sys.path:
        sys.path.insert(0, str(CORPUS))
    return catalog.load(file)


@cache
def _planned(file: Path) -> Plan:
    return plan(str(file), CaptureOptions(steps=STEPS))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
