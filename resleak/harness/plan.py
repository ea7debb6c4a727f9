"""What a capture will run: profiles, parameters, and one job for each run of each variant."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resleak.captures.manifest import session
from resleak.captures.names import inside
from resleak.captures.raw import INSTRUMENTS, Instrument
from resleak.errors import MissingPackageError, PlatformError, ScenarioError
from resleak.harness.spawn import describe
from resleak.workload import resolve
from resleak.workload.resolve import Workload


@dataclass(frozen=True)
class Profile:
    """How much is run: replicated runs, and the factor on the scenario's steps."""

    runs: int
    steps: int


#: How much is run, by name.
PROFILES = {"quick": Profile(3, 1), "full": Profile(5, 1), "soak": Profile(5, 20)}


@dataclass(frozen=True)
class Plan:
    """What all runs of one capture share."""

    work: Workload
    about: Mapping[str, Any]
    python: str
    out: Path
    steps: int
    session: str
    presets: Mapping[str, Any]
    label: str = ""
    plant: float = 0.0

    @property
    def scenario(self) -> Mapping[str, Any]:
        """What the scenario's file declares."""
        declared: Mapping[str, Any] = self.about["scenario"]
        return declared

    @property
    def block(self) -> int:
        """Steps between two collections; fewer when there are few steps."""
        return max(1, min(int(self.scenario["block"]), self.steps // 12))

    @property
    def warmup(self) -> int:
        """Steps before the measured ones."""
        return min(int(self.scenario["warmup"]), self.steps)


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
        """What PYTHONMALLOC is set to: every other run with the gauges counts bytes, not blocks."""
        return "malloc" if self.instrument == "gauges" and self.run % 2 else "pymalloc"

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
        """The variant's name in the capture: its own, unless the plan gives it another."""
        return self.plan.label or self.variant


def plan(
    scenario: str | Workload,
    python: str | None,
    out: Path,
    steps: int | None,
    profile: str,
    *,
    label: str = "",
    deadline_s: float | None = None,
) -> Plan:
    """Find the workload and check that it can run as asked.

    Raises
    ------
    PlatformError
        On Windows.
    ScenarioError
        If the scenario or the profile is unknown, or the steps make no sense.
    MissingPackageError
        If a package is not installed that the scenario, or every measured process, needs.
    """
    if sys.platform == "win32":
        raise PlatformError("capturing needs Linux or macOS; stored captures open on Windows too")
    if profile not in PROFILES:
        raise ScenarioError(f"there is no profile {profile!r}; choose {', '.join(PROFILES)}")
    if steps is not None and steps < 1:
        raise ScenarioError(f"steps must be at least 1, not {steps}")
    work = scenario if isinstance(scenario, Workload) else resolve.find(scenario)
    about = describe(work, python)
    declared = about["scenario"]
    _check_packages(declared, about, python or sys.executable)
    if label and len(declared["variants"]) > 1:
        names = ", ".join(declared["variants"])
        raise ScenarioError(f"{work.name} has several variants ({names}); this takes a single one")
    if deadline_s is not None:
        declared["deadline_s"] = deadline_s
    count = steps or declared["steps"] * PROFILES[profile].steps
    presets = declared["soak"] if profile == "soak" else {}
    return Plan(
        work, about, python or sys.executable, out.resolve(), count, session(), presets, label
    )


def jobs(
    of: Plan, variants: Iterable[str] | None, runs: int, seed: int, params: Mapping[str, Any]
) -> Iterable[Job]:
    """Return one job for each run of each variant, and more that name lines.

    One that is inspected, one with memray where it makes sense, and one that follows handles where
    the system tells of them.

    Raises
    ------
    ScenarioError
        If a variant or a parameter is unknown.
    """
    known = of.scenario["variants"]
    for variant in variants or known:
        if variant not in known:
            name = of.scenario["name"]
            raise ScenarioError(f"{name} has no variant {variant!r}; it has: {', '.join(known)}")
        final = parameters(of.scenario, variant, {**of.presets, **params})
        for instrument in filter(lambda one: _applies(one, of), INSTRUMENTS.values()):
            for run in range(1, (runs if instrument.is_replicated else 1) + 1):
                yield Job(of, variant, instrument.name, run, seed + run - 1, final)


def _applies(instrument: Instrument, of: Plan) -> bool:
    """Return True if an instrument can be used here, on this scenario."""
    profiled = of.scenario["stacks"] and instrument.package in of.about["packages"]
    return bool(instrument.system in ("", sys.platform) and (profiled or not instrument.package))


def parameters(
    declared: Mapping[str, Any], variant: str, overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the parameters of one run: the scenario's, the variant's, then the overrides.

    Raises
    ------
    ScenarioError
        If an override names no parameter, or its value cannot be converted.
    """
    final = {**declared["params"], **declared["variants"][variant]["params"]}
    for key, value in overrides.items():
        if key not in final:
            known = ", ".join(sorted(final)) or "none"
            raise ScenarioError(f"{declared['name']} has no parameter {key!r}; it has: {known}")
        final[key] = _converted(final[key], value, key)
    return final


_TAKES = {
    bool: "true or false",
    list: "a list such as [1, 2]",
    tuple: "a list such as [1, 2]",
}


def _converted(default: Any, value: Any, key: str) -> Any:
    if not isinstance(value, str) or isinstance(default, str) or default is None:
        return value
    kind = type(default)
    try:
        if kind in (list, tuple):
            return kind(ast.literal_eval(value))
        return {"true": True, "false": False}[value.lower()] if kind is bool else kind(value)
    except (ValueError, KeyError, SyntaxError, TypeError):
        takes = _TAKES.get(kind, f"a value of type {kind.__name__}")
        raise ScenarioError(f"the parameter {key} takes {takes}, not {value!r}") from None


def _check_packages(declared: Mapping[str, Any], about: Mapping[str, Any], python: str) -> None:
    if absent := about["absent"]:
        extra = declared["extra"]
        install = f"pip install 'resleak[{extra}]'" if extra else f"pip install {' '.join(absent)}"
        raise MissingPackageError(f"{declared['name']} needs {', '.join(absent)}: {install}")
    if "psutil" not in about["packages"]:
        raise MissingPackageError(
            f"{python} lacks psutil, which reads the gauges: {python} -m pip install psutil memray"
        )
