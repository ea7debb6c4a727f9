"""Compare one workload in two environments: the leak is new, gone, in both or in neither."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from resleak.analysis import comparison
from resleak.analysis.causes.changes import changes
from resleak.analysis.comparison import Comparison
from resleak.analysis.rows import SCHEMA_VERSION, plain
from resleak.errors import ScenarioError
from resleak.experiments import environments
from resleak.experiments.investigate import investigate
from resleak.experiments.investigation import Investigation
from resleak.harness.plan import CaptureOptions

SIDES = ("before", "after")


@dataclass(frozen=True)
class Compared:
    """A workload in two environments, judged and compared."""

    before: Investigation
    after: Investigation
    comparison: Comparison

    @property
    def sentence(self) -> str:
        """Say whether the leak is new, gone, in both or in neither."""
        old, new = (side.leaking() for side in (self.before, self.after))
        unsure = {
            name
            for side, leaks in ((self.before, new), (self.after, old))
            for name in leaks & side.undecided()
        }
        if unsure:
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
        judged = {
            name: side.judgement.to_dict()
            for name, side in zip(SIDES, (self.before, self.after), strict=True)
        }
        causes = changes(*(side.variant.found.causes for side in (self.before, self.after)))
        told = {"judged": judged, "causes": plain(causes), "sentence": self.sentence}
        return {"schema_version": SCHEMA_VERSION, **self.comparison.to_dict(), **told}

    def __repr__(self) -> str:
        return f"{self.comparison}\n{self.sentence}"


def interpreters(pythons: list[str], requirements: list[str]) -> tuple[str, str]:
    """Return two given interpreters, or those of two environments with these requirements."""
    if len(pythons) == 2 and not requirements:
        return pythons[0], pythons[1]
    if len(requirements) == 2 and len(pythons) < 2:
        base = pythons[0] if pythons else None
        before, after = (
            str(environments.make(environments.split(one), base)) for one in requirements
        )
        return before, after
    raise ScenarioError("give two environments, before and after: --python twice, or --with twice")


def compare_environments(
    workload: str,
    pythons: tuple[str, str],
    options: CaptureOptions | None = None,
    **changes: Any,
) -> Compared:
    """Measure a workload with two interpreters, before and after, judge both, and compare.

    In the folder ``out`` of the options, ``compared`` gets the captures.
    """
    options = replace(options or CaptureOptions(), **changes)
    options = replace(options, out=Path(options.out) / "compared")
    before, after = (
        investigate(workload, options, python=python, label=label)
        for python, label in zip(pythons, SIDES, strict=True)
    )
    return Compared(before, after, comparison.compare(before.captures, after.captures))


def _named(gauges: set[str]) -> str:
    return ", ".join(sorted(gauges))
