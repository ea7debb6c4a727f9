"""Measure over versions and parameters: sweeps, bisections, queries of the store."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated

import typer

from resleak.errors import ScenarioError
from resleak.formatting import Table
from resleak.harness.plan import CaptureOptions
from resleak.ui.cli import common, console
from resleak.ui.cli.common import argument, command, flag, option, seconds

if TYPE_CHECKING:
    from resleak.experiments.bisect import Tried
    from resleak.experiments.sweep.results import SweepResult

_MOST_ROWS = 1000
#: Columns of an answer beside each other in a terminal, and characters of a value there.
_MOST_COLUMNS, _MOST_WIDE = 8, 60


@command("sweep")
def sweep(
    plan: Annotated[Path, argument("PLAN.toml", "What to run, a TOML file.")],
    store: common.StoreUrl = "captures/store",
    workers: Annotated[int, option("N", "Measurements at a time.", min=1, max=64)] = 2,
    cluster: Annotated[str, option("ADDRESS", "A Dask scheduler, or `local` for one here.")] = "",
    budget: Annotated[str, option("TIME", "Begin no run after this time: 90s, 15m, 2h.")] = "",
    dry_run: Annotated[bool, flag("--dry-run", "Count the runs; run none.")] = False,
    status: Annotated[bool, flag("--status", "Show the state from the store alone.")] = False,
    report: Annotated[Path | None, option("FILE", "Write an HTML report of all cells.")] = None,
    as_json: common.AsJson = False,
) -> None:
    """Measure scenarios over versions, parameters and seeds; run again to resume.

    Running a plan runs the code that it names, and installs the packages that it names. Showing
    its state runs nothing.
    """
    from resleak.experiments.sweep import plan as plans
    from resleak.experiments.sweep import sweep as sweeps

    budget_s = seconds(budget, "--budget") if budget else float("inf")
    plans.read(plan)
    if report is not None:
        common.check_file(report)
    if dry_run:
        counted = sweeps.estimate(plan, store)
        console.out_json(asdict(counted)) if as_json else console.out(str(counted))
        return
    if status:
        _show(sweeps.status(plan, store), as_json, report)
    console.say(f"running the code and installing the packages that {plan.name} names")
    with console.progress("runs") as progress:
        options = sweeps.SweepOptions(
            workers=workers, cluster=cluster, budget_s=budget_s, progress=progress
        )
        result = sweeps.sweep(plan, store, options)
    _show(result, as_json, report)


@command("query")
def query(
    sql: Annotated[str, argument("SQL", "Of the tables runs and traces.")],
    store: common.StoreUrl = "captures/store",
    as_json: common.AsJson = False,
) -> None:
    """Query all captures of a store with SQL; it reads the store and nothing else."""
    from resleak.captures.files import to_json
    from resleak.captures.store import index
    from resleak.captures.store.store import Store

    answer = index.query(Store.opened(store), sql)
    rows = answer.slice(0, None if as_json else _MOST_ROWS).to_pylist()
    names = answer.column_names
    if as_json:
        console.out_json(to_json(rows))
        return
    short = partial(shorten, width=_MOST_WIDE, placeholder=" …")
    shown = [[short(str(value)) for value in row.values()] for row in rows]
    if len(names) <= _MOST_COLUMNS:
        console.out(Table(names, shown))
    else:  # beside each other nobody could read them
        console.out(*(Table((), list(zip(names, row, strict=True))) for row in shown))
    if len(answer) > len(rows):
        console.say(f"{len(answer) - len(rows)} more rows; narrow the query, or take --json")


def show_store(url: str, as_json: bool) -> None:
    """Judge all sweeps of a store, print the matrix, and exit."""
    from resleak.captures.store.store import Store
    from resleak.experiments.sweep import results

    store = Store.opened(common.store_url(url))
    _show(results.judged(store, results.SweepNote.newest(store)), as_json, None)


def _show(result: SweepResult, as_json: bool, report: Path | None) -> None:
    """Print a result, write its report, and exit with the code for it."""
    from resleak import figures
    from resleak.experiments.sweep.task import INFRASTRUCTURE

    if as_json:
        console.out_json(result.to_dict())
    else:
        console.out(figures.sweep_text(result.cells), result.sentence)
        problems = [one.sentence for one in result.cells if one.verdict in ("failed", "cannot run")]
        for problem in dict.fromkeys([*problems, *result.problems]):
            console.say(problem)
        if not result.is_complete and not result.problems:
            console.say("it is not complete: run the same command again to go on")
    if report is not None:
        from resleak.report import plain_pages

        console.say(f"report: {common.shown(plain_pages.write_sweep(result, report))}")
    if result.outcomes[INFRASTRUCTURE]:  # a full store, a lost connection
        raise typer.Exit(common.CANNOT)
    raise typer.Exit(common.OK if result.is_clean else common.NOT_AS_DECLARED)


@command("bisect")
def bisect(
    workload: common.Work,
    package: Annotated[str | None, option("NAME", "The package whose releases are tried.")] = None,
    good: Annotated[str | None, option("V", "A release that is clean.")] = None,
    bad: Annotated[str | None, option("V", "A later one that leaks.")] = None,
    git: Annotated[str | None, option("GOOD..BAD", "Try revisions of the repository.")] = None,
    beside: Annotated[
        list[str] | None, option("REQUIREMENT", "What else to install; repeatable.", "--with")
    ] = None,
    python: common.Python = None,
    steps: common.Steps = None,
    runs: Annotated[int, option("R", "Runs of each.", min=1)] = 3,
    seed: common.Seed = 0,
    cluster: Annotated[str, option("ADDRESS", "Try all releases at once on a Dask cluster.")] = "",
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
