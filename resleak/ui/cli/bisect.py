"""Bisect releases of a package, or revisions of a repository, by verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resleak.errors import ScenarioError
from resleak.formatting import Table
from resleak.ui.cli import console
from resleak.ui.cli._common import AsJson, Out, Panel
from resleak.ui.cli.investigate import Seed, Steps, Work

if TYPE_CHECKING:
    from resleak.experiments.bisect import Bisected, Tried

PANEL = Panel.OWN
app = typer.Typer()


@app.command()
def bisect(
    workload: Work,
    package: Annotated[
        str | None, typer.Option(metavar="NAME", help="The package whose releases are tried.")
    ] = None,
    good: Annotated[str | None, typer.Option(metavar="V", help="A release that is clean.")] = None,
    bad: Annotated[str | None, typer.Option(metavar="V", help="A later one that leaks.")] = None,
    git: Annotated[
        str | None, typer.Option(metavar="GOOD..BAD", help="Try revisions of the repository.")
    ] = None,
    beside: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="REQUIREMENT", help="What else to install; repeatable."),
    ] = None,
    python: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The interpreter to measure with.")
    ] = None,
    steps: Steps = None,
    runs: Annotated[int, typer.Option(metavar="R", min=1, help="Runs of each.")] = 3,
    seed: Seed = 0,
    as_json: AsJson = False,
    out: Out = Path("captures"),
) -> None:
    """Find the release or revision that introduced, or fixed, a leak."""
    from resleak.experiments import bisect as bisection
    from resleak.harness.plan import CaptureOptions

    options = CaptureOptions(
        python=str(python) if python else None, steps=steps, runs=runs, seed=seed, out=out
    )
    if git is not None and package is None:
        good_end, bad_end = _ends(git)
        found = bisection.bisect_revisions(workload, good_end, bad_end, options, tell=_tell)
    elif package and good and bad and git is None:
        found = bisection.bisect_releases(
            workload, package, good, bad, options, beside=beside or (), tell=_tell
        )
    else:
        raise ScenarioError("give --package, --good and --bad, or --git GOOD..BAD")
    console.out_json(found.to_dict()) if as_json else _show(found)


def _ends(text: str) -> tuple[str, str]:
    good, dots, bad = text.partition("..")
    if not (good and dots and bad) or bad.startswith("."):
        raise ScenarioError(f"--git takes GOOD..BAD, not {text!r}")
    return good, bad


def _tell(tried: Tried) -> None:
    console.say(f"{tried.name}: {tried.verdict} ({tried.evidence})")


def _show(found: Bisected) -> None:
    rows = [(one.name, one.verdict, one.evidence) for one in found.tried]
    table = console.rich_table(Table(("tried", "verdict", "evidence"), rows))
    console.out(table, f"{found.sentence}.", found.line)
