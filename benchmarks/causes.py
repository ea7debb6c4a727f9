"""Count the causes that are named for each side of each workload of the corpus.

    python benchmarks/causes.py [NAME ...]

A leaky side should have exactly one cause, a fixed or benign one none. Each side is measured in two
runs of 120 steps and once with each instrument. Results are appended to
benchmarks/results/causes.jsonl as they come; a stopped run resumes where it was.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import _corpus
from rich.console import Console
from rich.table import Table
from scipy import stats

from resleak.analysis import verdicts
from resleak.captures import load
from resleak.harness.runner import capture

RESULTS = Path(__file__).parent / "results" / "causes.jsonl"
STEPS, RUNS, SEED = 120, 2, 5


def main() -> None:
    """Measure what has no result yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="workloads; the published half by default")
    names = parser.parse_args().names
    chosen = [
        one
        for one in _corpus.workloads()
        if (one.name in names if names else one.half == _corpus.PUBLISHED)
    ]
    done = _stored()
    for workload in chosen:
        for side in sorted(workload.scenario.variants):
            if (workload.name, side) not in {(row["workload"], row["side"]) for row in done}:
                row = _measured(workload, side)
                with RESULTS.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                done.append(row)
                Console(stderr=True).print(f"{row['workload']} {side}: {row['kinds']}")
    wanted = {one.name for one in chosen}
    Console(width=120).print(_table([row for row in done if row["workload"] in wanted]))


def _stored() -> list[dict[str, Any]]:
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


def _measured(workload: _corpus.Workload, side: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as out:
        capture(
            str(workload.file), variants=[side], params=workload.params, seed=SEED,
            steps=STEPS, runs=RUNS, out=Path(out),
        )  # fmt: skip
        judged = verdicts.judge(load.load(out)).variants[side]
    found = judged.found
    return {
        **{"workload": workload.name, "side": side, "verdict": judged.verdict},
        "kinds": [one.kind for one in found.causes],
        "placed": sum(one.site is not None for one in found.causes),
        "kept": sum(bool(one.chain) for one in found.causes),
        "share": {name: round(one.share, 3) for name, one in found.balance.items()},
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("side", "of", "causes", "workloads", "share", "95 % interval")
    for is_leaky in (True, False):
        of = [row for row in rows if (row["side"] == "leaky") == is_leaky]
        for count, number in sorted(Counter(len(row["kinds"]) for row in of).items()):
            low, high = stats.binomtest(number, len(of)).proportion_ci(method="exact")
            name = "leaky" if is_leaky else "fixed or benign"
            share = f"{number / len(of):.3f}"
            table.add_row(
                name, str(len(of)), str(count), str(number), share, f"{low:.3f} to {high:.3f}"
            )
    return table


if __name__ == "__main__":
    main()
