"""Investigate any code of your own: measure, judge, name the line, write the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resleak import formatting
from resleak.errors import ScenarioError
from resleak.ui.cli import console
from resleak.ui.cli._common import (
    NOT_AS_DECLARED,
    OK,
    AsJson,
    Out,
    Panel,
    find_notebook,
    shown,
)

if TYPE_CHECKING:
    from resleak.experiments.investigate import Investigation
    from resleak.harness.plan import CaptureOptions

PANEL = Panel.OWN
FIRST = True
app = typer.Typer()

Work = Annotated[
    str,
    typer.Argument(
        metavar="WORKLOAD",
        help="A file with step(i), a test such as tests/test_api.py::test_upload, or "
        "package.module:function.",
    ),
]
Steps = Annotated[int | None, typer.Option(metavar="N", min=1, help="Steps a run.")]
Runs = Annotated[int | None, typer.Option(metavar="R", min=1, help="Runs.")]
Seed = Annotated[int, typer.Option(metavar="S", help="Seed of the first run.")]
Deadline = Annotated[
    float | None,
    typer.Option("--deadline", metavar="SECONDS", min=0.1, help="The longest a step may take."),
]


@app.command()
def investigate(
    workload: Work,
    python: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Measure with another interpreter.")
    ] = None,
    steps: Steps = None,
    runs: Runs = None,
    seed: Seed = 0,
    deadline: Deadline = None,
    as_json: AsJson = False,
    report: Annotated[
        Path | None, typer.Option("-o", metavar="FILE", help="Write a report, one HTML file.")
    ] = None,
    out: Out = Path("captures"),
) -> None:
    """Find out whether your own code leaks, how fast, and in which line."""
    from resleak.experiments import investigate as investigation
    from resleak.harness.plan import CaptureOptions

    options = CaptureOptions(
        python=str(python) if python else None, steps=steps, runs=runs, seed=seed,
        deadline_s=deadline, out=out,
    )  # fmt: skip
    with console.progress() as progress:
        found = investigation.investigate(workload, options, progress=progress)
    console.out_json(found.to_dict()) if as_json else console.show_investigation(found)
    if report is not None:
        console.say(f"written: {shown(_report(found, workload, report, out))}")
    raise typer.Exit(OK if found.judgement.ok else NOT_AS_DECLARED)


def _report(found: Investigation, workload: str, target: Path, out: Path) -> Path:
    from resleak.analysis import known_verdicts
    from resleak.report import share

    again = formatting.command("resleak", "investigate", workload, "-o", target.name)
    parameters = {"SCENARIO": found.name, "CAPTURES": str(out.resolve())}
    template = find_notebook("10_investigate.ipynb")
    with (
        console.working("writing the report"),
        known_verdicts.known(found.captures, found.judgement),
    ):
        return share.share_captures(template, target, parameters, title=found.name, again=again)


def compare_environments(
    what: list[str],
    pythons: list[str],
    requirements: list[str],
    as_json: bool,
    options: CaptureOptions,
) -> None:
    """Measure a workload before and after, and say whether the leak is new, gone or in both."""
    from resleak.experiments import compare_environments as versions

    if len(what) != 1:
        raise ScenarioError("name one workload to compare two environments")
    with console.working("making the environments"):
        both = versions.interpreters(pythons, requirements)
    with console.progress() as progress:
        compared = versions.compare_environments(what[0], both, options, progress=progress)
    if as_json:
        console.out_json(compared.to_dict())
        return
    console.show_comparison(compared.comparison)
    for name, side in zip(versions.SIDES, (compared.before, compared.after), strict=True):
        console.out(f"{name}: {side.verdict}. {side.blamed()}".rstrip())
    console.out(compared.sentence)
