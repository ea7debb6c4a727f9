"""Investigate any code of your own: measure, judge, name the line, write the report."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resleak import formatting
from resleak.errors import ScenarioError
from resleak.harness.plan import CaptureOptions, Progress
from resleak.ui.cli import common, console
from resleak.ui.cli.common import command, flag, option, seconds
from resleak.workload import resolve

if TYPE_CHECKING:
    from resleak.experiments.investigation import Investigation

#: What runs, by instrument.
_RUNS = {
    "gauges": "run {}: gauges",
    "memray": "allocations",
    "handles": "resources",
    "forensics": "objects",
}


@command("investigate")
def investigate(
    workload: common.Work,
    python: common.Python = None,
    steps: common.Steps = None,
    runs: common.Runs = None,
    seed: common.Seed = 0,
    deadline: Annotated[
        float | None, option("SECONDS", "The longest a step may take.", min=0.1)
    ] = None,
    budget: Annotated[
        str, option("DURATION", "Go on until decided, this long at most; see --steps.")
    ] = "30s",
    allocator: Annotated[
        str | None, option("NAMES", "Compare allocators, such as glibc,jemalloc,mimalloc.")
    ] = None,
    as_json: common.AsJson = False,
    report: Annotated[Path | None, option("FILE", "Write a report, one HTML file.", "-o")] = None,
    show: common.Open = False,
    out: common.Out = Path("captures"),
    known: Annotated[
        Path | None, option("FILE", "Fingerprints of causes that are no failure.")
    ] = None,
    no_source: Annotated[bool, flag("--no-source", "Store no source text.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Print every gauge.")] = False,
) -> None:
    """Find out whether your own code leaks, how fast, and in which line.

    Exit code 1: something leaks, is deferred (freed only by the garbage collector), hangs or stays
    inconclusive.
    """
    _prepare()
    from resleak.analysis.causes import changes
    from resleak.experiments import investigate as experiment

    known_ids = changes.known(known)
    if show and report is None:
        report = Path(f"{resolve.find(workload).name.replace('/', '-')}.html")
    if report is not None:
        common.check_reports(report)
    options = CaptureOptions(
        python=python, steps=steps, runs=runs, seed=seed, deadline_s=deadline, out=out,
        source=not no_source,
    )  # fmt: skip
    budget_s = seconds(budget, "--budget")
    if allocator is not None:
        if report is not None:
            raise ScenarioError("a report is about one allocator: leave out -o, or --allocator")
        _compare_allocators(workload, allocator.split(","), options, budget_s, as_json)
    with common.measuring(workload, budget_s) as progress:
        investigation = experiment.investigate(
            workload, options, budget_s=budget_s, progress=_shown(progress), tell=console.say
        )
    try:
        _show(investigation, verbose, as_json)
    finally:  # also where nobody reads the answer to its end
        if report is not None:
            common.written(_report(investigation, workload, report, out), show)
    is_ok = investigation.judgement.ok or investigation.is_known(known_ids)
    raise typer.Exit(common.OK if is_ok else common.NOT_AS_DECLARED)


def _show(investigation: Investigation, verbose: bool, as_json: bool) -> None:
    if as_json:
        console.out_json(investigation.to_dict(common.budgets_of(None)))
    else:
        console.show_investigation(investigation, verbose)


def _prepare() -> None:
    """Answer measured processes at once, also while libraries load, and load these faster."""
    sys.setswitchinterval(0.0005)
    if "OPENBLAS_NUM_THREADS" not in os.environ:
        os.putenv("OPENBLAS_NUM_THREADS", "1")  # for this process alone: children get os.environ


def _compare_allocators(
    workload: str, names: list[str], options: CaptureOptions, budget_s: float, as_json: bool
) -> None:
    """Measure under each allocator, print the table, and exit."""
    from resleak.experiments import compare as experiment

    wanted = [name.strip() for name in names]
    with common.measuring(workload) as progress:
        options = replace(options, progress=progress)
        compared = experiment.compare_allocators(workload, wanted, options, budget_s)
    console.out_json(compared.to_dict()) if as_json else console.out(repr(compared))
    raise typer.Exit(common.NOT_AS_DECLARED if compared.leaks else common.OK)


def _shown(progress: Progress) -> Progress:
    """Return a progress bar that says what runs instead of a job's label."""

    def call(label: str, done: int, total: int) -> None:
        _, instrument, run = label.rsplit(maxsplit=2)
        progress(_RUNS[instrument].format(run), done, total)

    return call


def _report(investigation: Investigation, workload: str, target: Path, out: Path) -> Path:
    from resleak.analysis import known_verdicts
    from resleak.report import share

    again = formatting.command("resleak", "investigate", workload, "-o", target.name)
    parameters = {"SCENARIO": investigation.name, "CAPTURES": str(out.resolve())}
    template = common.project("notebooks", "10_investigate.ipynb")
    judged = known_verdicts.known(investigation.captures, investigation.judgement)
    with console.working("writing the report"), judged:
        return share.share_captures(
            template, target, parameters, title=investigation.name, again=again
        )
