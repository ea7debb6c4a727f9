"""Measure the marked tests of a pytest session, and store captures and a report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from resleak import formatting
from resleak.analysis import budgets, comparison
from resleak.analysis.budgets import AllowanceCheck, Budget
from resleak.captures import files, load, storage
from resleak.captures.frames import Capture, Captures
from resleak.captures.locks import temporary_folder
from resleak.errors import BudgetError, StoreError
from resleak.experiments.investigate import BUDGET_S, UntilDecided
from resleak.experiments.investigation import Investigation, from_captures
from resleak.figures.sentences import code
from resleak.harness import runner
from resleak.harness.plan import CaptureOptions
from resleak.workload.gauges import BUILTIN
from resleak.workload.verdict_words import BROKEN, HOLDS, UNDECIDED

_STEPS, _RUNS = 200, 3
#: Longest time in which a marked test may be decided, seconds.
_LONGEST_S = 3600
_CAPTURES = "captures"
_SIGNS = {HOLDS: "✓", BROKEN: "✗", UNDECIDED: "?"}


@dataclass(frozen=True)
class Result:
    """The result of one test."""

    nodeid: str
    steps: int
    runs: int
    check: AllowanceCheck
    line: str
    judgement: Mapping[str, Any]

    @property
    def problems(self) -> list[str]:
        """Sentences about all that is broken or undecided."""
        return [*self.check.broken, *self.check.undecided]

    @property
    def text(self) -> str:
        """The message of a failure."""
        lines = (*self.problems, self.line, f"seen in {self.runs} runs of {self.steps} steps")
        return "\n".join(filter(None, lines))

    def summary(self) -> str:
        """Return one line for a summary."""
        first, *_ = (*self.problems, *self.check.within)
        return f"{_SIGNS[self.check.outcome]} {self.nodeid}: {self.check.outcome}, {first}"

    def row(self) -> tuple[str, str, str]:
        """Return a row of the report for people."""
        outcome = self.check.outcome
        what = "; ".join([*self.problems, *self.line.splitlines()])
        return code(self.nodeid), f"{_SIGNS[outcome]} {outcome}", what

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of the report for programs."""
        return {
            "test": self.nodeid,
            "outcome": self.check.outcome,
            BROKEN: list(self.check.broken),
            "undecided": list(self.check.undecided),
            "line": self.line,
            "judgement": self.judgement,
        }


class Suite:
    """The marked tests of one session; captures stay in `out`, if there is one."""

    def __init__(self, root: Path, out: Path | None, baseline: Path | None) -> None:
        if baseline is not None and not storage.folders(baseline):
            raise StoreError(f"there are no captures in {baseline} to compare with")
        self._root, self._out, self._baseline = root, out, baseline
        self._ending = ExitStack()
        self._folder = out or self._ending.enter_context(temporary_folder())
        self._results: list[Result] = []

    def check(self, nodeid: str, options: Mapping[str, Any]) -> Result:
        """Repeat one test in fresh processes, and check its growth against its mark."""
        how, lines, allowances = _read(options)
        target, how = f"{self._root / nodeid}", replace(how, out=self._folder / _CAPTURES)
        investigation = from_captures(map(Capture, runner.capture(target, how)))
        check = budgets.check_allowances(investigation.variant, allowances)
        check = replace(check, broken=(*check.broken, *self._worse(investigation.captures)))
        line = self._line(target, how, investigation) if check.broken and lines else ""
        steps, judgement = investigation.captures[0].manifest.steps, investigation.judgement
        result = Result(nodeid, steps, how.run_count, check, line, judgement.to_dict())
        self._results.append(result)
        return result

    def _line(self, target: str, options: CaptureOptions, investigation: Investigation) -> str:
        """Return a card for each cause; it takes one more run per instrument."""
        leaks = [one.gauge for one in investigation.rows() if one.is_leak]
        needed = {BUILTIN[gauge].explained_by for gauge in leaks if gauge in BUILTIN} - {""}
        if not needed:
            return ""
        present = {capture.instrument for capture in investigation.captures}
        instruments = sorted({*needed, "forensics"} - present, reverse=True)
        options = replace(options, runs=0, stacks=True, instruments=instruments, decide=None)
        more = runner.capture(target, options, out=self._folder / "lines")
        whole = from_captures([*investigation.captures, *map(Capture, more)])
        return "\n".join(whole.cards()).rstrip()

    def _worse(self, captures: Captures) -> Iterator[str]:
        """Yield leaks that are faster than in the baseline."""
        if self._baseline is None:
            return
        for part in (_CAPTURES, ""):
            folder = self._baseline / part / captures[0].scenario
            if storage.folders(folder):
                compared = comparison.compare(load.load(folder), captures)
                yield from (f"{one} (the baseline)" for one in comparison.faster_leaks(compared))
                return

    def summary(self) -> list[str]:
        """Return a line for each test, and where the captures are."""
        place = [f"kept in {self._out}"] if self._out else []
        return [*(one.summary() for one in self._results), *place]

    def close(self) -> None:
        """Write the report, or remove the captures."""
        self._ending.close()
        if self._out and self._results:
            name = "-".join(filter(None, ("report", os.environ.get("PYTEST_XDIST_WORKER"))))
            files.write_json(self._out / f"{name}.json", [one.to_dict() for one in self._results])
            rows = [one.row() for one in self._results]
            text = formatting.Table(("test", "outcome", "what"), rows).markdown()
            files.write(self._out / f"{name}.md", f"{text}\n")


def _read(options: Mapping[str, Any]) -> tuple[CaptureOptions, bool, list[Budget]]:
    """Return how a test is measured, whether lines are wanted, and the allowances of its mark."""
    usual = {"steps": _STEPS, "runs": _RUNS, "lines": True, "budget_s": BUDGET_S}
    settings = {name: options.get(name, default) for name, default in usual.items()}
    for name in ("steps", "runs"):
        if type(settings[name]) is not int or settings[name] < 1:
            raise BudgetError(f"{name}={settings[name]!r} is no number of {name}")
    budget_s = settings["budget_s"]
    if type(budget_s) not in (int, float) or not 0 <= budget_s <= _LONGEST_S:
        raise BudgetError(f"budget_s={budget_s!r} is no number of seconds up to {_LONGEST_S}")
    how = CaptureOptions(steps=settings["steps"], runs=settings["runs"], stacks=False)
    if budget_s and "steps" not in options:
        how = replace(how, decide=UntilDecided(float(budget_s)), budget_s=float(budget_s))
    allowances = [budgets.allowance(k, v) for k, v in options.items() if k not in usual]
    return how, bool(settings["lines"]), allowances
