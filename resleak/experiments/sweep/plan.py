"""The plan of a sweep: a TOML file, checked once, then expanded to cells and their runs."""

from __future__ import annotations

import fnmatch
import itertools
import json
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from resleak.captures import untrusted
from resleak.captures.raw import INSTRUMENTS
from resleak.captures.store.record import RunSpec
from resleak.errors import ResleakError, ScenarioError
from resleak.experiments import environments
from resleak.experiments.sweep.shipping import Shipped
from resleak.harness import spawn
from resleak.harness.plan import CaptureOptions, Job, jobs
from resleak.harness.plan import plan as planned
from resleak.workload import catalog

#: Runs of one sweep: its note has their keys, and is read whole.
MOST_RUNS = 100_000
_PLAN_BYTES = 1 << 20
_GLOB = frozenset("*?[")
#: Returns what a workload declares to an interpreter; it is asked once per process.
_described = cache(spawn.describe)


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """The options of a plan.

    `requirements` is called ``with`` in the file: a list, or a list by workload.
    """

    scenarios: list[str] = field(default_factory=list)
    workloads: list[str] = field(default_factory=list)
    variants: list[str] = field(default_factory=lambda: ["*"])
    requirements: dict[str, list[str]] = field(default_factory=dict)
    python: list[str] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=lambda: [0])
    instruments: list[str] = field(default_factory=lambda: ["gauges"])
    replicates: int = 3
    rounds: int = 3
    steps: int | None = None
    canary: bool = True

    def __post_init__(self) -> None:
        if unknown := set(self.instruments) - set(INSTRUMENTS):
            names = ", ".join(INSTRUMENTS)
            raise ValueError(f"there is no instrument {sorted(unknown)[0]!r}; choose of {names}")
        if not (self.scenarios or self.workloads):
            raise ValueError("it names nothing to run; give scenarios or workloads")
        for name, least, most in (("replicates", 1, 100), ("rounds", 1, 10)):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be from {least} to {most}")
        if any(not 0 <= seed < 2**32 for seed in self.seeds):
            raise ValueError("seeds must be from 0 to 4294967295")
        for name in ("variants", "seeds", "instruments"):
            if len(set(getattr(self, name))) != len(getattr(self, name)) or not getattr(self, name):
                raise ValueError(f"{name} must be a list of different values")
        CaptureOptions(steps=self.steps)
        for text in itertools.chain(*self.requirements.values()):
            for one in environments.split(text):
                environments.check(one)

    def environments(self, name: str) -> Iterator[tuple[str, str, str]]:
        """Yield label, requirements and interpreter of each environment of a workload."""
        lists = [texts for one, texts in self.requirements.items() if fnmatch.fnmatch(name, one)]
        for python in self.python or [""]:
            for text in dict.fromkeys(itertools.chain(*lists)) or [""]:
                label = " ".join(filter(None, [text, python if len(self.python) > 1 else ""]))
                yield label or "as installed", text, python


@dataclass(frozen=True)
class Environment:
    """Packages and an interpreter: `lock` pins all packages; without it, they are as installed."""

    label: str
    python: str = ""
    lock: tuple[str, ...] = ()

    def interpreter(self) -> str:
        """Return the interpreter on this machine; its environment is built if need be."""
        if not self.lock:
            return self.python or sys.executable
        return str(environments.make(self.lock, self.python or None))


@dataclass(frozen=True)
class Cell:
    """One cell: a workload's variant, parameters and environment, which its replicates share."""

    shipped: Shipped
    environment: Environment
    #: The first run; the others differ in run and seed.
    spec: RunSpec
    #: The parameters that the plan sets, for people.
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """The name of the question whose versions and variants are compared."""
        return json.dumps([self.spec.scenario, dict(self.params), self.spec.seed], sort_keys=True)

    def run(self, number: int) -> Run:
        """Return a replicate, counted from 1."""
        return Run(self, replace(self.spec, run=number, seed=self.spec.seed + number - 1))


@dataclass(frozen=True)
class Run:
    """One run of a cell."""

    cell: Cell
    spec: RunSpec

    @property
    def key(self) -> str:
        """The digest of the question that it answers."""
        return self.spec.key


@dataclass(frozen=True)
class Absent:
    """A part of a plan that cannot be run, and why."""

    scenario: str
    label: str
    message: str


@dataclass(frozen=True)
class Expansion:
    """A plan's cells, and the parts of it that cannot be run."""

    plan: SweepPlan
    cells: list[Cell]
    absent: list[Absent]

    def rounds(self, number: int, cells: list[Cell] | None = None) -> list[Run]:
        """Return the runs of one round: what is compared is interleaved, replicate by replicate."""
        first = number * self.plan.replicates
        numbers = range(first + 1, first + self.plan.replicates + 1)
        groups: dict[str, list[Cell]] = {}
        for cell in self.cells if cells is None else cells:
            groups.setdefault(cell.group, []).append(cell)
        return [
            cell.run(n)
            for group in groups.values()
            for n in numbers
            for cell in group
            if n == 1 or INSTRUMENTS[cell.spec.instrument].is_replicated
        ]


def read(path: Path) -> SweepPlan:
    """Return a checked plan, or raise ScenarioError with one line."""
    known = {one.name: one for one in fields(SweepPlan)}
    try:
        value = tomllib.loads(untrusted.content(path, _PLAN_BYTES).decode("utf-8"))
        value = untrusted.parsed(json.dumps(value, allow_nan=False).encode())
        if "requirements" in value:
            raise ValueError("there is no key 'requirements'; packages are called 'with'")
        packages = value.pop("with", {})
        value["requirements"] = {"*": packages} if isinstance(packages, list) else packages
        if unknown := sorted(set(value) - set(known)):
            names = ", ".join("with" if name == "requirements" else name for name in known)
            raise ValueError(f"there is no key {unknown[0][:40]!r}; known: {names}")
        plan: SweepPlan = untrusted.build(SweepPlan, value)
    except (ValueError, TypeError, RecursionError) as error:
        raise ScenarioError(f"{path.name}: {error}") from None
    return plan


def workloads(plan: SweepPlan, root: Path) -> list[Shipped]:
    """Return the workloads that a plan names, each once."""
    names: list[str] = []
    for text in plan.scenarios:
        matches = fnmatch.filter(catalog.paths(), text) if _GLOB & set(text) else [text]
        if not matches:
            raise ScenarioError(f"no scenario is called {text!r}; `resleak list` names them all")
        names += matches
    for text in plan.workloads:
        is_glob = _GLOB & set(text) and "::" not in text
        if is_glob and Path(text).is_absolute():
            raise ScenarioError(f"{text!r} must be relative to {root}")
        found = [str(path.relative_to(root)) for path in root.glob(text)] if is_glob else [text]
        if not found:
            raise ScenarioError(f"no file matches {text!r} in {root}")
        names += sorted(found)
    return [Shipped.of(name, root) for name in dict.fromkeys(names)]


def expand(plan: SweepPlan, root: Path, workers: int = 2) -> Expansion:
    """Return the cells of a plan: environments are resolved, and workloads described in each."""
    shipped = workloads(plan, root)
    names = [one.workload().name for one in shipped]
    ((name, count),) = Counter(names).most_common(1)
    if count > 1:
        raise ScenarioError(f"two workloads are called {name}; rename one of the files")
    pairs = [
        (one, asked)
        for name, one in zip(names, shipped, strict=True)
        for asked in plan.environments(name)
    ]
    with ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(lambda pair: cells_of(plan, pair[0], _resolved(*pair[1])), pairs))
    cells = [cell for result in results if isinstance(result, list) for cell in result]
    absent = [result for result in results if isinstance(result, Absent)]
    if not cells:
        raise ScenarioError(absent[0].message)
    if len(cells) * plan.replicates > MOST_RUNS:
        raise ScenarioError(f"this plan has more than {MOST_RUNS:,} runs; split it into several")
    return Expansion(plan, cells, absent)


def job_of(run: Run, out: Path) -> Job:
    """Return the job of a run on this machine, or raise ScenarioError if it is another question."""
    spec, interpreter = run.spec, run.cell.environment.interpreter()
    options = CaptureOptions(
        variants=[spec.variant], runs=1, steps=spec.steps, params=spec.params,
        python=interpreter, instruments=[spec.instrument], out=out,
    )  # fmt: skip
    work = run.cell.shipped.workload()
    of = planned(work, options, _described(work, interpreter))
    job = Job(of, spec.variant, spec.instrument, spec.run, spec.seed, spec.params)
    here = _spec(run.cell.shipped, job, run.cell.environment)
    if replace(here, canary=spec.canary).key != spec.key:
        message = f"this worker has another {_difference(here, spec)} than the plan was made with"
        raise ScenarioError(f"{message}; make all workers alike, or name the versions in `with`")
    return job


@cache
def _resolved(label: str, text: str, python: str) -> Environment | Absent:
    """Return an environment with the versions of all its packages, built on this machine."""
    try:
        lock = environments.lock(environments.split(text), python or None) if text else []
        environment = Environment(label, python, tuple(lock))
        environment.interpreter()
    except ResleakError as error:
        return Absent("", label, str(error))
    return environment


def cells_of(
    plan: SweepPlan, shipped: Shipped, environment: Environment | Absent
) -> list[Cell] | Absent:
    """Return the cells of a workload in an environment, or why there are none."""
    work = shipped.workload()
    name = work.name
    if isinstance(environment, Absent):
        return replace(environment, scenario=name)
    try:
        interpreter = environment.interpreter()
        about = _described(work, interpreter)
        declared = about["scenario"]["variants"]
        variants = [v for v in declared if any(fnmatch.fnmatch(v, p) for p in plan.variants)]
        if not variants:
            known, called = ", ".join(declared), about["scenario"]["name"]
            raise ScenarioError(f"{called} has none of these variants; it has: {known}")
        cells = []
        values = [value if isinstance(value, list) else [value] for value in plan.params.values()]
        for *point, seed in itertools.product(*values, plan.seeds):
            params = dict(zip(plan.params, point, strict=True))
            options = CaptureOptions(
                variants=variants, runs=1, steps=plan.steps, seed=seed, params=params,
                python=interpreter,
            )  # fmt: skip
            for job in jobs(planned(work, options, about)):
                if job.instrument in plan.instruments:
                    spec = _spec(shipped, job, environment)
                    cells.append(Cell(shipped, environment, spec, params))
    except ResleakError as error:
        return Absent(name, environment.label, str(error).replace(f"{work.file.parent}/", ""))
    lacking = set(plan.instruments) - {cell.spec.instrument for cell in cells}
    message = f"{name} cannot be run with {', '.join(sorted(lacking))} here"
    return Absent(name, environment.label, message) if lacking else cells


def _spec(shipped: Shipped, job: Job, environment: Environment) -> RunSpec:
    about, versions = job.plan.about, environments.installed(environment.interpreter())
    pinned = {canonicalize_name(Requirement(pin).name) for pin in environment.lock}
    own = {name: v for name, v in versions.items() if canonicalize_name(name) in pinned}
    return RunSpec(
        scenario=str(job.plan.scenario["name"]),
        variant=job.variant,
        instrument=job.instrument,
        run=job.run,
        seed=job.seed,
        steps=job.plan.steps,
        params=json.loads(json.dumps(dict(job.params))),
        digest=shipped.digest,
        python=about["python"],
        implementation=about["implementation"],
        environment=environments.digest(versions),
        packages={**about["packages"], **own},
    )


def _difference(here: RunSpec, spec: RunSpec) -> str:
    """Return the first thing in which two questions differ, and both values."""
    for name in ("digest", "python", "implementation", "packages", "environment", "params"):
        ours, theirs = getattr(here, name), getattr(spec, name)
        if ours != theirs:
            return f"{'code' if name == 'digest' else name} ({ours} here, {theirs} there)"
    return "version of resleak"
