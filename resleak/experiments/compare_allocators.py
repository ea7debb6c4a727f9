"""Compare one workload under several allocators: the code keeps memory, or ``malloc`` does."""

from __future__ import annotations

import ctypes.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from resleak import formatting
from resleak.analysis import wording
from resleak.analysis.gauge_verdict import by_gauge
from resleak.analysis.rows import SCHEMA_VERSION
from resleak.errors import MissingPackageError, ScenarioError
from resleak.experiments.investigate import investigate
from resleak.experiments.investigation import Investigation
from resleak.experiments.looks import BUDGET_S
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


@dataclass(frozen=True, repr=False)
class Allocators(formatting.Shown):
    """A workload under several allocators: the verdict with each, by the allocator's name."""

    by_name: dict[str, Investigation]

    @property
    def sentence(self) -> str:
        """Say whether the code keeps memory, the allocator, or neither."""
        in_use = self._leaking(_IN_USE)
        if in_use:
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
        judged = {name: by_gauge(one.variant.gauges) for name, one in self.by_name.items()}
        rows = []
        for gauge in (*_IN_USE, *_RESIDENT):
            found = [one.get(gauge) for one in judged.values()]
            words = [wording.short(one).removeprefix(f"{gauge} ") if one else "–" for one in found]
            rows.append((gauge, *words))
        return formatting.Table(("gauge", *judged), rows, note=self.sentence)

    def _leaking(self, gauges: tuple[str, ...]) -> list[str]:
        by_name = {name: by_gauge(one.variant.gauges) for name, one in self.by_name.items()}
        return [
            name
            for name, judged in by_name.items()
            if any(judged[gauge].is_leak for gauge in gauges if gauge in judged)
        ]


def compare_allocators(
    workload: str, names: Sequence[str], options: CaptureOptions, budget_s: float = BUDGET_S
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
