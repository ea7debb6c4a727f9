"""Run sweeps, show their state, and query the store of all captures."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated

import typer

from resleak import formatting
from resleak.ui.cli import _common as common
from resleak.ui.cli import console

if TYPE_CHECKING:
    from resleak.experiments.sweep.results import SweepResult

PANEL = common.Panel.VERDICTS
app = typer.Typer()
_MOST_ROWS = 1000
#: Columns of an answer beside each other in a terminal, and characters of a value there.
_MOST_COLUMNS, _MOST_WIDE = 8, 60


@app.command()
def sweep(
    plan: Annotated[Path, typer.Argument(metavar="PLAN.toml", help="What to run, a TOML file.")],
    store: common.StoreUrl = "captures/store",
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, max=64, help="Measurements at a time.")
    ] = 2,
    cluster: Annotated[
        str, typer.Option(metavar="ADDRESS", help="A Dask scheduler, or `local` for one here.")
    ] = "",
    budget: Annotated[
        str, typer.Option(metavar="TIME", help="Begin no run after this time: 90s, 15m, 2h.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count the runs; run none.")] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Show the state from the store alone.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write an HTML report of all cells.")
    ] = None,
    as_json: common.AsJson = False,
) -> None:
    """Measure scenarios over versions, parameters and seeds; run again to resume.

    Running a plan runs the code that it names, and installs the packages that it names. Showing
    its state runs nothing.
    """
    from resleak.experiments.sweep import estimate
    from resleak.experiments.sweep import sweep as sweeps

    if dry_run:
        counted = estimate.estimate(plan, store)
        console.out_json(asdict(counted)) if as_json else console.out(str(counted))
        return
    if status:
        _show(sweeps.status(plan, store), as_json, report)
    console.say(f"running the code and installing the packages that {plan.name} names")
    budget_s = common.seconds(budget) if budget else float("inf")
    with console.progress("runs") as progress:
        options = sweeps.SweepOptions(
            workers=workers, cluster=cluster, budget_s=budget_s, progress=progress
        )
        result = sweeps.sweep(plan, store, options)
    _show(result, as_json, report)


@app.command()
def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="Of the tables runs and traces.")],
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
        console.out(formatting.Table(names, shown))
    else:  # beside each other nobody could read them
        console.out(*(formatting.Table((), list(zip(names, row, strict=True))) for row in shown))
    if len(answer) > len(rows):
        console.say(f"{len(answer) - len(rows)} more rows; narrow the query, or take --json")


def show_store(url: str, as_json: bool) -> None:
    """Judge all sweeps of a store, print the matrix, and exit."""
    from resleak.captures.store.store import Store
    from resleak.experiments.sweep import results

    store = Store.opened(url)
    _show(results.judged(store, results.SweepNote.newest(store)), as_json, None)


def _show(result: SweepResult, as_json: bool, report: Path | None) -> None:
    """Print a result, write its report, and exit with the code for it."""
    from resleak import figures

    if as_json:
        console.out_json(result.to_dict())
    else:
        console.out(figures.sweep_text(result.cells), result.sentence)
        problems = [one.sentence for one in result.cells if one.verdict in ("failed", "cannot run")]
        for problem in dict.fromkeys([*problems, *result.problems]):
            console.say(problem)
        if not result.is_complete:
            console.say("it is not complete: run the same command again to go on")
    if report is not None:
        from resleak.report import plain_pages

        console.say(f"report: {common.shown(plain_pages.write_sweep(result, report))}")
    raise typer.Exit(common.OK if result.is_clean else common.NOT_AS_DECLARED)
