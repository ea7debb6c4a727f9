"""Bisect releases of a package, or revisions of a repository, by verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resleak.errors import ScenarioError
from resleak.formatting import Table
from resleak.harness.plan import CaptureOptions
from resleak.ui.cli import _common as common
from resleak.ui.cli import console

if TYPE_CHECKING:
    from resleak.experiments.bisect import Tried

PANEL = common.Panel.OWN
app = typer.Typer()


@app.command()
def bisect(
    workload: common.Work,
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
    python: common.Python = None,
    steps: common.Steps = None,
    runs: Annotated[int, typer.Option(metavar="R", min=1, help="Runs of each.")] = 3,
    seed: common.Seed = 0,
    cluster: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Try all releases at once on a Dask cluster.")
    ] = "",
    store: common.StoreUrl = "captures/store",
    as_json: common.AsJson = False,
    out: common.Out = Path("captures"),
) -> None:
    """Find the release or revision that introduced, or fixed, a leak."""
    from resleak.experiments import bisect

    def tell(tried: Tried) -> None:
        console.say(f"{tried.name}: {tried.verdict} ({tried.evidence})")

    options = CaptureOptions(python=python, steps=steps, runs=runs, seed=seed, out=out)
    if git is not None and package is None:
        result = bisect.bisect_revisions(workload, *_ends(git), options, tell=tell)
    elif package and good and bad and git is None:
        result = bisect.bisect_releases(
            workload, package, good, bad, options, beside=beside or (), tell=tell,
            cluster=cluster, store=store,
        )  # fmt: skip
    else:
        raise ScenarioError("give --package, --good and --bad, or --git GOOD..BAD")
    if as_json:
        console.out_json(result.to_dict())
        return
    rows = [(one.name, one.verdict, one.evidence) for one in result.tried]
    console.out(Table(("tried", "verdict", "evidence"), rows), f"{result.sentence}.", result.line)


def _ends(text: str) -> tuple[str, str]:
    good, dots, bad = text.partition("..")
    if not (good and dots and bad) or bad.startswith("."):
        raise ScenarioError(f"--git takes GOOD..BAD, not {text!r}")
    return good, bad
