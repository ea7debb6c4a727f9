"""Measure the marked tests of a pytest session, and store captures and a report."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from resleak import formatting
from resleak.analysis import budgets, comparison
from resleak.analysis.budgets import AllowanceCheck, Budget
from resleak.analysis.rows import plain
from resleak.captures import files, frames, load, storage
from resleak.errors import BudgetError, StoreError
from resleak.experiments.investigate import Investigation, investigated
from resleak.figures.sentences import code
from resleak.harness import runner
from resleak.harness.plan import CaptureOptions
from resleak.workload.gauges import BUILTIN

_STEPS, _RUNS = 200, 3
_CAPTURES = "captures"
_SIGNS = {"holds": "✓", "broken": "✗", "inconclusive": "?"}


@dataclass(frozen=True)
class Checked:
    """The result of one test."""

    nodeid: str
    steps: int
    runs: int
    held: AllowanceCheck
    line: str
    judgement: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The message of a failure."""
        asked = f"seen in {self.runs} runs of {self.steps} steps"
        found = [*self.held.broken, *self.held.undecided, self.line, asked]
        return "\n".join(filter(None, found))

    def summary(self) -> str:
        """Return one line for a summary."""
        first = (*self.held.broken, *self.held.undecided, *self.held.within)[:1]
        return f"{_SIGNS[self.held.outcome]} {self.nodeid}: {self.held.outcome}, {first[0]}"


class Suite:
    """The marked tests of one session; captures stay in `out`, if there is one."""

    def __init__(self, root: Path, out: Path | None, baseline: Path | None) -> None:
        if baseline is not None and not storage.folders(baseline):
            raise StoreError(f"there are no captures in {baseline} to compare with")
        self._root, self._out, self._baseline = root, out, baseline
        self._folder = out or Path(tempfile.mkdtemp(prefix="resleak-"))
        self._checked: list[Checked] = []

    def check(self, nodeid: str, options: Mapping[str, Any]) -> Checked:
        """Repeat one test in fresh processes, and check its growth against its mark."""
        steps, runs, lines, allowed = _read(options)
        target, out = f"{self._root / nodeid}", self._folder / _CAPTURES
        how = CaptureOptions(steps=steps, runs=runs, stacks=False, out=out)
        made = runner.capture(target, how)
        found = investigated(frames.Captures(map(frames.Capture, made)))
        limits = budgets.check_allowances(found.variant, allowed)
        limits = replace(limits, broken=(*limits.broken, *self._worse(found.captures)))
        line = self._line(target, how, found) if limits.broken and lines else ""
        checked = Checked(nodeid, steps, runs, limits, line, found.judgement.to_dict())
        self._checked.append(checked)
        return checked

    def _line(self, target: str, options: CaptureOptions, found: Investigation) -> str:
        """Return the allocating lines; it takes one more run per instrument."""
        leaks = [BUILTIN[one.gauge] for one in found.rows() if one.is_leak and one.gauge in BUILTIN]
        with_ = sorted({gauge.explained_by for gauge in leaks} - {""}, reverse=True)
        if not with_:
            return ""
        options = replace(options, runs=0, stacks=True, instruments=with_)
        made = runner.capture(target, options, out=self._folder / "lines")
        told = investigated(frames.Captures([*found.captures, *map(frames.Capture, made)]))
        opened = [f"{one.gauge}: opened in {one.origin}" for one in told.rows() if one.origin]
        memory = [told.line] if len(told.variant.sites) else []
        return "\n".join([*opened, *memory])

    def _worse(self, captures: frames.Captures) -> Iterator[str]:
        """Yield leaks that are faster than in the baseline."""
        name = captures[0].scenario
        places = (
            [self._baseline / part / name for part in (_CAPTURES, "")] if self._baseline else []
        )
        folder = next((place for place in places if storage.folders(place)), None)
        if folder is not None:
            compared = comparison.compare(load.load(folder), captures)
            yield from (f"{one} (the baseline)" for one in comparison.faster_leaks(compared))

    def summary(self) -> list[str]:
        """Return a line for each test."""
        kept = [f"kept in {self._out}"] if self._out else []
        return [*(one.summary() for one in self._checked), *kept]

    def close(self) -> None:
        """Write the report, or remove the captures."""
        if self._out is None:
            shutil.rmtree(self._folder, ignore_errors=True)
        elif self._checked:
            rows = [_row(one) for one in self._checked]
            name = "-".join(filter(None, ("report", os.environ.get("PYTEST_XDIST_WORKER"))))
            files.write_json(self._out / f"{name}.json", plain(rows))
            text = _markdown(self._checked)
            (self._out / f"{name}.md").write_text(text, encoding="utf-8")


def _read(options: Mapping[str, Any]) -> tuple[int, int, bool, list[Budget]]:
    rest = dict(options)
    steps, runs = (
        rest.pop(name, default) for name, default in (("steps", _STEPS), ("runs", _RUNS))
    )
    lines = rest.pop("lines", True)
    for name, value in (("steps", steps), ("runs", runs)):
        if type(value) is not int or value < 1:
            raise BudgetError(f"{name}={value!r} is no number of {name}")
    return steps, runs, bool(lines), [budgets.allowance(k, v) for k, v in rest.items()]


def _row(one: Checked) -> dict[str, Any]:
    found = one.held
    return {
        "test": one.nodeid,
        "outcome": found.outcome,
        "broken": list(found.broken),
        "undecided": list(found.undecided),
        "line": one.line,
        "judgement": one.judgement,
    }


def _markdown(checked: list[Checked]) -> str:
    rows = []
    for one in checked:
        outcome = f"{_SIGNS[one.held.outcome]} {one.held.outcome}"
        reasons = "; ".join([*one.held.broken, *one.held.undecided, *one.line.splitlines()])
        rows.append((code(one.nodeid), outcome, reasons))
    return formatting.Table(("test", "outcome", "what"), rows).markdown() + "\n"
