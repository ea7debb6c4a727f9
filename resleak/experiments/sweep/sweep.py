"""Run a sweep: what the store lacks is measured, in rounds, until every cell is decided."""

from __future__ import annotations

import hashlib
import math
import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import fmean

from resleak import formatting
from resleak.captures import untrusted
from resleak.captures.store import index
from resleak.captures.store.record import Record
from resleak.captures.store.store import Store
from resleak.errors import ResleakError, StoreError
from resleak.experiments.sweep import engines, results, task
from resleak.experiments.sweep import plan as plans
from resleak.experiments.sweep.results import CellVerdict, SweepNote, SweepResult
from resleak.harness.plan import Progress
from resleak.workload.verdict_words import UNDECIDED

#: Failures of machines or the store in a row, per slot, after which a sweep ends.
_MOST_LOST = 3
#: Seconds and bytes of a run of which the store has no like.
_ASSUMED_S, _ASSUMED_BYTES = 3.0, 20_000
#: Stored runs that are looked at for one estimate.
_SAMPLE = 200


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """Where a sweep runs: on `workers` slots here, or on a Dask cluster.

    `cluster` is the address of its scheduler, or ``local``. After `budget_s` no further run is
    begun. `progress` is called with a label, the runs done and the runs that there are.
    """

    workers: int = 2
    cluster: str = ""
    budget_s: float = math.inf
    progress: Progress = lambda *_: None


def sweep(path: Path, url: str, options: SweepOptions | None = None) -> SweepResult:
    """Run a plan: measure what the store lacks, judge all cells, and go on with undecided ones.

    Called again with the same plan, it goes on where it ended, whatever ended it.
    """
    plan, root = plans.read(path), path.absolute().parent
    return run_plan(plan, root, url, f"{plan_id(path)}-", path.name, options or SweepOptions())


def run_plan(
    plan: plans.SweepPlan, root: Path, url: str, prefix: str, name: str, options: SweepOptions
) -> SweepResult:
    """Run a plan whose workloads are relative to `root`; `prefix` and `name` are of its note."""
    store = Store.made(url)
    if options.cluster and not store.objects.is_shared:
        raise StoreError(f"the workers of a cluster cannot see {url}; choose another --store")
    expansion = plans.expand(plan, root, options.workers)
    note = SweepNote.of(expansion, name)
    digest = hashlib.sha256(repr(note.cells).encode(errors="replace")).hexdigest()
    store.note("sweeps", f"{prefix}{digest[:12]}", asdict(note))
    perform = partial(task.perform, url=store.url, canary=plan.canary)
    with engines.opened(options.cluster, options.workers, perform) as engine:
        result = _Campaign(store, expansion, engine, options).rounds(note)
    with suppress(ResleakError):  # it can be made at any time
        index.compact(store)
    return result


def status(path: Path, url: str) -> SweepResult:
    """Return the results of a plan from its store alone: nothing of the plan is run."""
    store = Store.opened(url)
    return results.judged(store, SweepNote.newest(store, plan_id(path)))


def plan_id(path: Path) -> str:
    """Return the digest of a plan's file, by which its store knows it."""
    return hashlib.sha256(untrusted.content(path, 1 << 20)).hexdigest()[:12]


@dataclass(frozen=True)
class Estimate:
    """Runs of a plan's first round, and in all rounds at most, with the cost of those to come.

    `is_measured`: the store has runs of the same workloads, and the cost is their mean.
    """

    cells: int
    runs: int
    most_runs: int
    stored: int
    core_hours: float
    bytes: float
    is_measured: bool
    absent: tuple[str, ...]

    def __str__(self) -> str:
        basis = "as such runs took" if self.is_measured else "assumed: the store has none like it"
        hours, size = formatting.number(self.core_hours), formatting.amount(self.bytes, "B")
        runs, cells = map(formatting.counted, (self.runs, self.cells), ("run", "cell"))
        lines = [
            f"{runs} in {cells}; {self.stored} are stored already; "
            f"undecided cells may take it to {self.most_runs}.",
            f"The rest takes about {hours} core hours and {size} ({basis}).",
        ]
        return "\n".join([*lines, *(f"cannot run: {one}" for one in self.absent)])


def estimate(path: Path, url: str) -> Estimate:
    """Expand a plan and count: environments are built, workloads described, and none is run."""
    plan = plans.read(path)
    expansion = plans.expand(plan, path.absolute().parent)
    rounds = [expansion.rounds(number) for number in range(plan.rounds)]
    keys, like = set[str](), list[Record]()
    with suppress(StoreError):  # it is made with the first run
        store = Store.opened(url)
        keys = store.keys()
        names = {run.spec.scenario for run in rounds[0]}
        sample = store.records(islice(sorted(keys), _SAMPLE))
        like = [one for one in sample if one.spec.scenario in names]
    todo = sum(run.key not in keys for run in rounds[0])
    return Estimate(
        cells=len(expansion.cells),
        runs=len(rounds[0]),
        most_runs=sum(map(len, rounds)),
        stored=len(rounds[0]) - todo,
        core_hours=todo * fmean([one.seconds for one in like] or [_ASSUMED_S]) / 3600,
        bytes=todo * fmean([one.size for one in like] or [_ASSUMED_BYTES]),
        is_measured=bool(like),
        absent=tuple(f"{a.scenario} {a.label}: {a.message}" for a in expansion.absent),
    )


@dataclass
class _Campaign:
    """The rounds of one sweep on one engine."""

    store: Store
    expansion: plans.Expansion
    engine: engines.Engine
    options: SweepOptions
    outcomes: Counter[str] = field(default_factory=Counter)
    problems: dict[str, None] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    _lost: int = 0
    _classes: dict[str, str] = field(default_factory=dict)

    def rounds(self, note: SweepNote) -> SweepResult:
        """Run round after round until no cell is undecided."""
        cache: dict[tuple[str, ...], CellVerdict] = {}
        cells = self.expansion.cells
        for number in range(self.expansion.plan.rounds):
            self._run(self.expansion.rounds(number, cells))
            result = results.judged(self.store, note, cache)
            both = zip(note.cells, result.cells, strict=True)
            undecided = {one.name for one, verdict in both if verdict.verdict == UNDECIDED}
            cells = [one for one in self.expansion.cells if results.note_of(one).name in undecided]
            if not cells or self._is_over():
                break
        return replace(result, outcomes=self.outcomes, problems=tuple(self.problems))

    def _run(self, runs: list[plans.Run]) -> None:
        stored = self.store.keys()
        todo = [run for run in runs if run.key not in stored]
        done, total = len(runs) - len(todo), len(runs)
        self.outcomes[task.EXISTS] += done
        lanes = self._lanes(todo)
        for run, future in engines.window(self.engine, lanes, self._is_over):
            outcome = engines.outcome(future)
            if outcome.kind == task.KILLED:
                outcome = task.killed(run, self.store.url)
            if outcome.kind == task.NOISY:
                self.engine.retire(future)
                self.problems[outcome.message] = None
                lanes[self._classes[run.cell.group]].appendleft(run)
                continue
            self.outcomes[outcome.kind] += 1
            self._lost = self._lost + 1 if outcome.kind == task.INFRASTRUCTURE else 0
            if outcome.kind not in (task.MADE, task.EXISTS):
                self.problems[outcome.message] = None
                with suppress(StoreError):
                    self.store.note("failures", run.key, asdict(outcome))
            done += 1
            slots = sum(self.engine.slots().values())
            label = f"{run.spec.scenario} {run.cell.environment.label}, {slots} slots"
            self.options.progress(label, done, total)

    def _lanes(self, runs: list[plans.Run]) -> dict[str, deque[plans.Run]]:
        """Deal out groups of runs to host classes, by their slots."""
        slots = self.engine.slots()
        lanes: dict[str, deque[plans.Run]] = {name: deque() for name in slots}
        for run in runs:
            group = run.cell.group
            if self._classes.get(group) not in lanes:
                self._classes[group] = min(slots, key=lambda name: len(lanes[name]) / slots[name])
            lanes[self._classes[group]].append(run)
        return lanes

    def _is_over(self) -> bool:
        slots = sum(self.engine.slots().values())
        is_late = time.monotonic() - self.began > self.options.budget_s
        return is_late or self._lost >= _MOST_LOST * max(slots, 1)
