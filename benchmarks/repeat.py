"""Repeat scenarios with different random seeds and count how often they come out as declared.

    python benchmarks/repeat.py --times 10
    python benchmarks/repeat.py control/do_nothing --times 30

Each repetition captures every variant again, with unused seeds, and judges it. Results are appended
to benchmarks/results/repeat.jsonl as they come; a stopped run resumes where it was. Repetitions of
an earlier version of the scenario's code do not count; comments and docstrings may change.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from scipy import stats

from resleak.analysis import verdicts
from resleak.captures import load
from resleak.harness.runner import capture
from resleak.workload import catalog
from resleak.workload.digest import digest
from resleak.workload.verdict_words import CLEAN

RESULTS = Path(__file__).parent / "results" / "repeat.jsonl"
#: Far enough apart that no two repetitions share a run's seed.
SEEDS_APART = 1000


def main() -> None:
    """Repeat the scenarios on the command line, and print the table."""
    options = _options()
    names = options.names or list(catalog.paths())
    done = [] if options.fresh else _stored(options.results)
    for name in names:
        have = {row["repetition"] for row in done if row["scenario"] == name}
        for repetition in sorted(set(range(options.times)) - have):
            row = _repeat(name, repetition)
            _store(row, options.results)
            done.append(row)
            Console(stderr=True).print(
                f"{name} {repetition + 1}/{options.times}: {row['as_declared']}"
            )
    Console(width=160).print(_table([row for row in done if row["scenario"] in names]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="scenarios; all by default")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--results", type=Path, default=RESULTS, help="file to append to")
    parser.add_argument("--fresh", action="store_true", help="forget earlier repetitions")
    return parser.parse_args()


def _repeat(name: str, repetition: int) -> dict[str, Any]:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as out:
        # Stacks do not affect the verdict, and take longer than all runs with gauges.
        capture(name, out=out, seed=SEEDS_APART * (repetition + 1), stacks=False)
        judged = verdicts.judge(load.load(out))
    return {
        "scenario": name,
        "code": digest(catalog.paths()[name]),
        "repetition": repetition,
        "seconds": round(time.monotonic() - began, 1),
        "as_declared": judged.ok,
        "outcome": judged.claim["measured"],
        "fix": judged.claim["fix"]["measured"],
        "verdicts": {variant: one.verdict for variant, one in judged.variants.items()},
        "symptoms": {
            v: {k: sorted(w) for k, w in one.symptoms.items()} for v, one in judged.variants.items()
        },
        "unclear": [
            f"{gauge.variant} {gauge.gauge} {gauge.verdict}: {gauge.reason}"
            for one in judged.variants.values()
            for gauge in one.gauges
            if gauge.gauge in one.evidence and gauge.verdict not in CLEAN
        ],
        "worst": {
            f"{variant} {limit.limit}": limit.worst
            for variant, one in judged.variants.items()
            for limit in one.limits
        },
    }


def _stored(results: Path) -> list[dict[str, Any]]:
    rows = (
        [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    )
    now = {name: digest(path) for name, path in catalog.paths().items()}
    return [row for row in rows if row.get("code") == now.get(row["scenario"])]


def _store(row: dict[str, Any], results: Path) -> None:
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a") as file:
        file.write(json.dumps(row) + "\n")


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("scenario", "as declared", "at least (95 %)", "verdicts")
    for name in dict.fromkeys(row["scenario"] for row in rows):
        mine = [row for row in rows if row["scenario"] == name]
        right = sum(row["as_declared"] for row in mine)
        low = stats.binomtest(right, len(mine)).proportion_ci(method="exact").low
        table.add_row(name, f"{right} of {len(mine)}", f"{low:.0%}", "; ".join(_counts(mine)))
    return table


def _counts(rows: list[dict[str, Any]]) -> Iterator[str]:
    for variant in rows[0]["verdicts"]:
        words = [row["verdicts"].get(variant) for row in rows]
        counts = ", ".join(f"{word} ×{words.count(word)}" for word in dict.fromkeys(words))
        yield f"{variant}: {counts}"


if __name__ == "__main__":
    main()
