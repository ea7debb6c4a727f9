"""Plan a capture: its options, its parameters, and one job for each run of each variant."""

from __future__ import annotations

import ast
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from resleak.captures.manifest import session
from resleak.captures.names import inside
from resleak.captures.raw import INSTRUMENTS, shortened
from resleak.errors import MissingPackageError, PlatformError, ScenarioError, install_extra
from resleak.harness import control_groups
from resleak.harness.spawn import describe
from resleak.workload import resolve
from resleak.workload.resolve import Workload

#: Called with a label, the steps done, and the steps there are; 0 once nobody knows.
Progress = Callable[[str, int, int], None]
#: Returns up to how many times their steps the runs that wait at a look go on before it is asked
#: again: 2 or more, or 0 to end them.
Decide = Callable[["Look"], int]
#: More steps than this would fill gigabytes with rows.
_MOST_STEPS, _MOST_RUNS, _MOST_PARALLEL = 1_000_000, 1_000, 64
_LARGEST_SEED = 2**32 - 1
_LONGEST_DEADLINE_S = 7 * 86400.0
#: A run goes on to at most so many times its planned steps: the rows for them are reserved.
_MOST_LOOKS = 64


@dataclass(frozen=True)
class Look:
    """The state of a variant where all its replicates wait.

    `steps` are those measured so far, `load_s` the seconds of the slowest run, `stored` returns
    captures of them; `others` waits for the instruments that name lines and returns their captures.
    """

    steps: int
    load_s: float
    stored: Callable[[], list[Path]]
    others: Callable[[], list[Path]]


class Profile(NamedTuple):
    """Replicated runs, and the factor on the scenario's steps."""

    runs: int
    steps: int


#: How much is run, by name.
PROFILES = {"quick": Profile(3, 1), "full": Profile(5, 1), "soak": Profile(5, 20)}


@dataclass(frozen=True)
class CaptureOptions:
    """Options of a capture, and of every experiment that captures.

    Parameters
    ----------
    variants : iterable of str, optional
        The variants to run; all by default.
    runs, steps : int, optional
        Override the profile's number of runs and the scenario's number of steps.
    seed : int
        Seed of the first run; the others count up from it.
    profile : {"quick", "full", "soak"}
        3 runs, 5 runs, or 5 runs of 20 times the steps.
    params : mapping, optional
        Parameters of the scenario to override; strings are converted to the default's type.
    python : str, optional
        Interpreter to measure with; it needs psutil, and memray for stacks.
    stacks : bool
        Also run under the instruments that name lines, where scenario and system allow it.
    instruments : collection of str, optional
        Only runs with these: ``gauges``, ``memray``, ``handles``, ``forensics``.
    out : Path
        Folder for the captures; earlier ones of the same variants are replaced at the end.
    progress : callable, optional
        Called with a label, the steps done and the steps there are; 0 once nobody knows.
    parallel : int
        Runs at a time; by default as many as this process may use processors, less one for itself
        where there are more than two.
    stop : threading.Event, optional
        Ends everything when set, as an interrupt does.
    plant : float
        Bytes per step to leak in addition, as a positive control.
    label : str
        Name of the stored captures; the variant's name by default.
    deadline_s : float, optional
        Seconds that the set-up or a step may take; 60 unless the scenario says otherwise.
    preload : str, optional
        Library to load before all others (``LD_PRELOAD``), such as another allocator; empty for
        none. By default it is that of this process.
    source : bool
        Store the source text of the lines in stacks, for reports.
    decide : callable, optional
        Called with a `Look` when the replicates of a variant have taken their steps, and again
        after 2, 4, 8 ... times as many, or at those up to the multiple that it returns; 0 ends it.
    budget_s : float, optional
        Seconds that the steps of all runs may take together; slow steps are halved in number.
    on_stored : callable, optional
        Called with the folder of each stored capture under an instrument that names lines.

    Raises
    ------
    ScenarioError
        If a value is out of range.
    """

    variants: Iterable[str] | None = None
    runs: int | None = None
    steps: int | None = None
    seed: int = 0
    profile: str = "quick"
    params: Mapping[str, Any] | None = None
    python: str | None = None
    stacks: bool = True
    instruments: Collection[str] | None = None
    out: Path | str = "captures"
    progress: Progress | None = None
    parallel: int = field(default_factory=lambda: _parallel(control_groups.processors()))
    stop: threading.Event | None = None
    plant: float = 0.0
    label: str = ""
    deadline_s: float | None = None
    preload: str | None = None
    source: bool = True
    decide: Decide | None = None
    budget_s: float | None = None
    on_stored: Callable[[Path], object] = lambda _: None

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            names = ", ".join(PROFILES)
            raise ScenarioError(f"there is no profile {self.profile!r}; choose {names}")
        _check_range("steps", self.steps, 1, _MOST_STEPS)
        _check_range("runs", self.runs, 0, _MOST_RUNS)
        _check_range("parallel", self.parallel, 1, _MOST_PARALLEL)
        _check_range("seed", self.seed, 0, _LARGEST_SEED)
        _check_range("plant", self.plant, 0, 1e9)
        _check_range("deadline_s", self.deadline_s, 1e-3, _LONGEST_DEADLINE_S)

    @property
    def run_count(self) -> int:
        """Replicates per variant."""
        return PROFILES[self.profile].runs if self.runs is None else self.runs

    def measured_steps(self, declared: Mapping[str, Any]) -> int:
        """Return the measured steps of each run of a declared scenario."""
        return int(self.steps or declared["steps"] * PROFILES[self.profile].steps)

    def warmup_steps(self, declared: Mapping[str, Any]) -> int:
        """Return the steps before the measured ones."""
        return min(int(declared["warmup"]), self.measured_steps(declared))


def _parallel(processors: int) -> int:
    return min(processors, max(2, processors - 1), _MOST_PARALLEL)


def _check_range(name: str, value: float | None, least: float, most: float) -> None:
    if value is not None and value > most:  # not shown: it may have thousands of digits
        raise ScenarioError(f"{name} must be at most {most:,.0f}")
    if value is not None and not value >= least:  # NaN is not, either
        raise ScenarioError(f"{name} must be at least {least:g}, not {value}")


@dataclass(frozen=True)
class Plan:
    """The facts that all runs of one capture share; `scenario` is what its file declares."""

    work: Workload
    about: Mapping[str, Any]
    scenario: Mapping[str, Any]
    options: CaptureOptions
    python: str
    out: Path
    session: str
    steps: int
    #: Measured steps of a run that always goes on.
    most_steps: int
    warmup: int
    #: Steps between two collections; fewer when there are few steps.
    block: int

    def shortened(self, halvings: int) -> Plan:
        """Return the plan after these halvings of its steps."""
        steps, warmup, block = shortened(self.steps, self.warmup, self.block, halvings)
        most = steps * (self.most_steps // self.steps)
        return replace(self, steps=steps, most_steps=most, warmup=warmup, block=block)


@dataclass(frozen=True)
class Job:
    """One run of one variant with one instrument."""

    plan: Plan
    variant: str
    instrument: str
    run: int
    seed: int
    params: Mapping[str, Any]

    @property
    def allocator(self) -> str:
        """Value of PYTHONMALLOC: every other run with the gauges counts bytes, not blocks."""
        if "free-threaded" in self.plan.about["implementation"]:  # it has no other allocator
            return "default"
        return "malloc" if self.instrument == "gauges" and self.run % 2 else "pymalloc"

    @property
    def waits(self) -> bool:
        """True if it waits at looks for the other replicates, and may go on."""
        return self.plan.options.decide is not None and INSTRUMENTS[self.instrument].is_replicated

    @property
    def label(self) -> str:
        """Variant and instrument, for progress and messages."""
        return f"{self.variant} {self.instrument} {self.run}"

    @property
    def folder(self) -> Path:
        """Where the capture will be."""
        name = f"{self.instrument}-{self.run:02d}"
        return inside(self.plan.out, str(self.plan.scenario["name"]), self.called, name)

    @property
    def called(self) -> str:
        """The variant's name in the capture: its own, unless the options give it another."""
        return self.plan.options.label or self.variant


def plan(
    scenario: str | Workload, options: CaptureOptions, about: Mapping[str, Any] | None = None
) -> Plan:
    """Return the plan of a workload that can run with these options; `about` is from `describe`."""
    if sys.platform == "win32":
        raise PlatformError("capturing needs Linux or macOS; stored captures open on Windows too")
    work = scenario if isinstance(scenario, Workload) else resolve.find(scenario)
    python = options.python or sys.executable
    about = about or describe(work, python)
    declared = dict(about["scenario"])
    if absent := about["absent"]:
        extra = declared["extra"]
        install = install_extra(extra) if extra else f"pip install {' '.join(absent)}"
        raise MissingPackageError(f"{declared['name']} needs {', '.join(absent)}: {install}")
    if "psutil" not in about["packages"]:
        raise MissingPackageError(
            f"{python} lacks psutil, which reads the gauges: {python} -m pip install psutil memray"
        )
    if options.label and len(declared["variants"]) > 1:
        names = ", ".join(declared["variants"])
        raise ScenarioError(f"{work.name} has several variants ({names}); this takes a single one")
    if options.deadline_s is not None:
        declared["deadline_s"] = options.deadline_s
    steps, warmup = options.measured_steps(declared), options.warmup_steps(declared)
    _check_range("steps", steps, 1, _MOST_STEPS)
    return Plan(
        work,
        about,
        declared,
        options,
        python,
        out=resolve.absolute(options.out),
        session=session(),
        steps=steps,
        most_steps=min(steps * (_MOST_LOOKS if options.decide else 1), _MOST_STEPS),
        warmup=warmup,
        block=max(1, min(int(declared["block"]), steps // 12)),
    )


def jobs(of: Plan) -> Iterable[Job]:
    """Yield the runs with gauges of each variant, and one with each instrument that names lines."""
    options, declared = of.options, of.scenario["variants"]
    presets = of.scenario["soak"] if options.profile == "soak" else {}
    for variant in options.variants or declared:
        if variant not in declared:
            name = of.scenario["name"]
            raise ScenarioError(f"{name} has no variant {variant!r}; it has: {', '.join(declared)}")
        final = parameters(of.scenario, variant, {**presets, **(options.params or {})})
        for instrument in sorted(INSTRUMENTS.values(), key=attrgetter("place")):
            profiled = of.scenario["stacks"] and instrument.package in of.about["packages"]
            if instrument.system in ("", sys.platform) and (profiled or not instrument.package):
                for run in range(options.run_count if instrument.is_replicated else 1):
                    yield Job(of, variant, instrument.name, run + 1, options.seed + run, final)


def parameters(
    declared: Mapping[str, Any], variant: str, overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the parameters of one run: the scenario's, the variant's, then the overrides."""
    final = {**declared["params"], **declared["variants"][variant]["params"]}
    for key, value in overrides.items():
        if key not in final:
            names = ", ".join(sorted(final)) or "none"
            raise ScenarioError(f"{declared['name']} has no parameter {key!r}; it has: {names}")
        final[key] = parameter(key, final[key], value)
    return final


_LIST = "a list such as [1, 2]"
_TAKES = {bool: "true or false", list: _LIST, tuple: _LIST, type(None): "a number, or None"}


def parameter(name: str, default: Any, value: Any) -> Any:
    """Return a parameter's value, converted from text to the type of its default."""
    kind = type(default)
    if not isinstance(value, str):
        return value
    try:
        value.encode()  # text that is not Unicode cannot be stored
        if isinstance(default, str):
            return value
        if kind is bool:
            return {"true": True, "false": False}[value.lower()]
        if default is None:
            with suppress(ValueError, SyntaxError):
                return ast.literal_eval(value)
            return value
        if kind in (list, tuple):
            items = ast.literal_eval(value)
            if not isinstance(items, (list, tuple)):
                raise ValueError(value)
            return kind(items)
        return kind(value)
    except (ValueError, KeyError, SyntaxError, TypeError, MemoryError, RecursionError):
        takes = _TAKES.get(kind, f"a value of type {kind.__name__}")
        raise ScenarioError(f"the parameter {name} takes {takes}, not {value!r}") from None
