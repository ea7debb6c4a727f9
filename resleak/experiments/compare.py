"""Compare one workload in two environments, or under several allocators."""

from __future__ import annotations

import ctypes.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from resleak import formatting
from resleak.analysis import wording
from resleak.analysis.causes.changes import changes
from resleak.analysis.comparison import Comparison, compare
from resleak.analysis.rows import SCHEMA_VERSION, plain
from resleak.errors import MissingPackageError, ScenarioError
from resleak.experiments import environments
from resleak.experiments.investigate import investigate
from resleak.experiments.investigation import Investigation
from resleak.harness.plan import CaptureOptions

SYSTEM = "glibc"
#: Names of the libraries, and the Debian packages that bring them.
LIBRARIES = {
    "jemalloc": ("jemalloc", "libjemalloc2"),
    "mimalloc": ("mimalloc", "libmimalloc2.0"),
    "tcmalloc": ("tcmalloc_minimal", "libtcmalloc-minimal4"),
}
#: What the code under study uses, and what the process keeps for it.
_IN_USE, _RESIDENT = ("blocks", "heap", "native"), ("rss", "uss")


@dataclass(frozen=True)
class Compared:
    """A workload in two environments, judged and compared."""

    before: Investigation
    after: Investigation
    comparison: Comparison

    @property
    def sentence(self) -> str:
        """Say whether the leak is new, gone, in both or in neither."""
        old, new = self.before.leaking(), self.after.leaking()
        if unsure := (old & self.after.undecided()) | (new & self.before.undecided()):
            return f"undecided: {_named(unsure)} is inconclusive on one side; run longer"
        if old and new:
            more = f", and in after also {_named(new - old)}" if new - old else ""
            less = f", and in before also {_named(old - new)}" if old - new else ""
            return f"the leak is in both ({_named(old & new) or 'different gauges'}){more}{less}"
        if new:
            return f"the leak is new in after ({_named(new)})"
        return f"the leak is gone in after ({_named(old)})" if old else "the leak is in neither"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        sides = {"before": self.before, "after": self.after}
        return {
            "schema_version": SCHEMA_VERSION,
            **self.comparison.to_dict(),
            "judged": {name: side.judgement.to_dict() for name, side in sides.items()},
            "causes": plain(changes(*(side.variant.found.causes for side in sides.values()))),
            "sentence": self.sentence,
        }


def interpreters(pythons: list[str], requirements: list[str]) -> tuple[str, str]:
    """Return two given interpreters, or those of two environments with these requirements."""
    if len(pythons) == 2 and not requirements:
        return pythons[0], pythons[1]
    if len(requirements) == 2 and len(pythons) < 2:
        base = pythons[0] if pythons else None
        before, after = (environments.make(environments.split(one), base) for one in requirements)
        return str(before), str(after)
    raise ScenarioError("give two environments, before and after: --python twice, or --with twice")


def compare_environments(
    workload: str, pythons: tuple[str, str], options: CaptureOptions
) -> Compared:
    """Measure a workload with two interpreters, before and after, judge both, and compare.

    In the folder ``out`` of the options, ``compared`` gets the captures.
    """
    options = replace(options, out=Path(options.out) / "compared")
    before = investigate(workload, options, python=pythons[0], label="before")
    after = investigate(workload, options, python=pythons[1], label="after")
    return Compared(before, after, compare(before.captures, after.captures))


def _named(gauges: set[str]) -> str:
    return ", ".join(sorted(gauges))


@dataclass(frozen=True, repr=False)
class Allocators(formatting.Shown):
    """A workload under several allocators: the verdict with each, by the allocator's name."""

    by_name: dict[str, Investigation]

    @property
    def sentence(self) -> str:
        """Say whether the code keeps memory, the allocator, or neither."""
        if in_use := self._leaking(_IN_USE):
            return f"the code keeps memory: what is in use grows with {', '.join(in_use)}"
        resident = self._leaking(_RESIDENT)
        if others := [name for name in self.by_name if name not in resident]:
            if resident:
                kept = f"an allocator keeps what the code gave back: {', '.join(resident)}"
                return f"{kept}; resident memory is not shown to grow with {', '.join(others)}"
            return "no leak of memory was found with any of them; see the detection limits"
        return "resident memory grows with each of them, beyond what is in use: memory maps, stacks"

    @property
    def leaks(self) -> bool:
        """True if anything leaks with any of them."""
        return any(one.leaking() for one in self.by_name.values())

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        judged = {name: one.judgement.to_dict() for name, one in self.by_name.items()}
        return {"schema_version": SCHEMA_VERSION, "allocators": judged, "sentence": self.sentence}

    def _table(self) -> formatting.Table:
        rows = []
        for gauge in (*_IN_USE, *_RESIDENT):
            found = [one.variant.gauge(gauge) for one in self.by_name.values()]
            words = [wording.short(one).removeprefix(f"{gauge} ") if one else "–" for one in found]
            rows.append((gauge, *words))
        return formatting.Table(("gauge", *self.by_name), rows, note=self.sentence)

    def _leaking(self, gauges: tuple[str, ...]) -> list[str]:
        return [
            name
            for name, one in self.by_name.items()
            if any(verdict.is_leak and verdict.gauge in gauges for verdict in one.variant.gauges)
        ]


def compare_allocators(
    workload: str, names: Sequence[str], options: CaptureOptions, budget_s: float
) -> Allocators:
    """Measure a workload under each allocator (``glibc``, ``jemalloc`` ...) with the gauges alone.

    In the folder ``out`` of the options, ``allocators`` gets the captures. Raises ScenarioError
    for a name that is not known, MissingPackageError for a library that is not installed.
    """
    libraries = {name: _library(name) for name in names}
    options = replace(options, out=Path(options.out) / "allocators", stacks=False)
    return Allocators(
        {
            name: investigate(workload, options, preload=library, label=name, budget_s=budget_s)
            for name, library in libraries.items()
        }
    )


def _library(name: str) -> str:
    """Return what to preload for an allocator; empty for the system's own."""
    if name == SYSTEM:
        return ""
    if name not in LIBRARIES:
        known = ", ".join((SYSTEM, *LIBRARIES))
        raise ScenarioError(f"there is no allocator {name[:60]!r}; choose among {known}")
    library, package = LIBRARIES[name]
    found = ctypes.util.find_library(library)
    if found is None:
        raise MissingPackageError(f"lib{library} is not installed: apt install {package}")
    return found
