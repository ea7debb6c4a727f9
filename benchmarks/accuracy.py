"""Measure the accuracy of the verdicts on the corpus, and judge it again at any time.

    python benchmarks/accuracy.py --quick           as much as fits in less than 10 minutes
    python benchmarks/accuracy.py                   the whole corpus, null runs, and other tools
    python benchmarks/accuracy.py --no-measuring    judge stored captures, and print the tables
    python benchmarks/accuracy.py --quick --results FILE    a sample, in a file of its own

Captures are stored in build/accuracy, once per state of a workload. Rows go to
benchmarks/results/accuracy.jsonl, keyed by workload, variant, look and the code of work and judge;
a stopped run resumes where it was. --no-measuring prints the last stored rows, of whatever code,
and says how many of them are by the present rule. The rule was tuned on one half of the workloads;
the tables show the other half, with other random seeds, and work by authors who did not know it.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import _accuracy_rows
import _catalogue as catalogue
import _corpus as corpus
import _nulls as nulls
import _peers_accuracy as peers
import _verdicts as verdicts
import pandas as pd
from rich.console import Console
from rich.table import Table

from resleak.errors import CaptureError

RESULTS = Path(__file__).parent / "results" / "accuracy.jsonl"
RUNS = 5
TOLD = (corpus.PUBLISHED, corpus.HELD_OUT, corpus.AGAIN)
_QUICK_S = 420.0


def main() -> None:
    """Measure, judge, and print the table."""
    options = _options()
    until = time.monotonic() + (_QUICK_S if options.quick else float("inf"))
    if not options.no_measuring:
        _measure(lambda: time.monotonic() < until)
    rows = list(_judge(options.results, tuple(options.looks)))
    if options.no_measuring:
        _print(_accuracy_rows.read(options.results))
        print(_state(_accuracy_rows.rules(options.results)))
    else:
        _print(_accuracy_rows.frame(rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="stop measuring after seven minutes")
    parser.add_argument("--no-measuring", action="store_true", help="judge what is stored")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where rows are appended")
    parser.add_argument("--looks", type=int, nargs="*", default=verdicts.LOOKS, metavar="STEPS")
    return parser.parse_args()


def _measure(on: Callable[[], bool]) -> None:
    """Measure missing workloads, the published ones first, until the time is up."""
    console = Console(stderr=True)
    ordered = sorted(corpus.workloads(), key=lambda one: one.half == corpus.TUNED)
    for one in ordered:
        for job in corpus.missing(one, RUNS):
            if not on():
                return
            _make(job, console)
    for job in nulls.missing():
        if not on():
            return
        _make(job, console)
    for one in ordered:
        if on():
            peers.run(one)


def _make(job: Any, console: Console) -> None:
    try:
        corpus.make(job)
    except CaptureError as error:
        console.print(f"left out: {error}")


def _judge(results: Path, looks: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """Yield the rows of all that is measured whole; those that are not there yet are appended."""
    warnings.simplefilter("ignore")
    known = _stored(results)
    measurable: list[corpus.Workload | catalogue.Scenario | nulls.Null] = [
        *corpus.workloads(),
        *catalogue.scenarios(),
        *nulls.groups(),
    ]
    for one in measurable:
        key = f"{one.name} {one.code} {verdicts.judge_code()} {looks}"
        if not one.complete(RUNS):
            continue
        if key not in known:
            known[key] = list(one.rows(looks))
            _append(results, {"workload": one.name, "key": key, "rows": known[key]})
        yield from known[key]
    yield from peers.rows()


def _state(rules: pd.DataFrame) -> str:
    """Return how many of the workloads that are printed are judged by the present rule."""
    present = int(rules.loc[rules["rule"] == verdicts.judge_code(), "workloads"].sum())
    return f"{present} of {rules['workloads'].sum()} workloads by the present rule"


def _print(rows: pd.DataFrame) -> None:
    """Print the tables: by tool, against steps, goals, and misses."""
    console = Console(width=150)
    for half in (*TOLD, "catalogue", corpus.TUNED):
        console.print(_table(_accuracy_rows.tools(rows, half), f"{half}, 300 steps, 5 runs"))
    console.print(_table(_accuracy_rows.against_steps(rows), "against measured steps"))
    for half in TOLD:
        console.print(_table(_accuracy_rows.goals(rows, half), f"goals, {half}"))
        console.print(_table(_accuracy_rows.misses(rows, half), f"missed or inconclusive, {half}"))
        console.print(
            _table(_accuracy_rows.certificates(rows, half), f"fixes not certified, {half}")
        )


def _table(rows: pd.DataFrame, title: str) -> Table:
    table = Table(*map(str, rows.columns), title=title)
    for row in rows.to_dict(orient="records"):
        table.add_row(*map(_cell, row.values()))
    return table


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _stored(results: Path) -> dict[str, list[dict[str, Any]]]:
    lines = results.read_text().splitlines() if results.exists() else []
    return {found["key"]: found["rows"] for found in map(json.loads, lines)}


def _append(results: Path, found: dict[str, Any]) -> None:
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a") as file:
        file.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
