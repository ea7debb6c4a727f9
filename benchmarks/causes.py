"""Count the causes that are named for each side of each workload of the corpus.

    python benchmarks/causes.py
    python benchmarks/causes.py benchmarks/attribution/[!_]*.py --captures build/causes

A leaky side should have exactly one cause, a fixed or benign one none, and what causes explain of a
gauge, with the rest, lies within the interval of its rate. Workloads come in random order, so that
the first (--most) are a fair sample; files stand for themselves. Each side is measured in three
runs of 240 steps, and once with each instrument. Results are appended to
benchmarks/results/causes.jsonl as they come; a stopped run resumes where it was, and rows of an
earlier workload or of other code that finds causes do not count. With --captures the captures are
kept, and judged again without a new run.

The loop of the corpus keeps what `acquire` returns in a list. Where the workload keeps it as well,
both grow, and neither alone is the cause: the loop's is then not counted beside the workload's.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import _corpus
from _corpus import Workload
from rich.console import Console
from rich.table import Table
from scipy import stats

from resleak.analysis import causes, verdicts
from resleak.analysis.verdicts import VariantVerdict
from resleak.captures import load, storage
from resleak.harness.measurement import measure
from resleak.harness.plan import CaptureOptions, jobs, plan

RESULTS = Path(__file__).parent / "results" / "causes.jsonl"
RUNS, AT_A_TIME, LEAKY = 3, 2, "leaky"
#: The list of the corpus's own loop, in chains.
_LOOP = "World.kept"


def main() -> None:
    """Measure what has no result yet, and print the table."""
    options = _options()
    paths = [Path(name).resolve() for name in options.names if name.endswith(".py")]
    sys.path.extend({str(path.parent) for path in paths})  # for what files import beside them
    files = [Workload(path, ()) for path in paths]
    chosen = [
        one
        for one in [*_corpus.workloads(), *files]
        if one in files
        or (one.name in options.names if options.names else one.half == options.half)
    ]
    stored = current(options.results, chosen)
    rows = {(row["workload"], row["side"]): row for row in stored}
    wanted = [
        (one, side)
        for one in chosen
        for side in sorted(one.scenario.variants)
        if side == LEAKY or not options.leaky
    ][: options.most]
    for workload, side in wanted:
        if (workload.name, side) not in rows:
            row = rows[workload.name, side] = _measured(workload, side, options.captures)
            with options.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            Console(stderr=True).print(f"{row['workload']} {side}: {row['kinds']}")
    shown = [rows[one.name, side] for one, side in wanted]
    Console(width=120).print(_table(shown))
    outside = [f"{row['workload']} {name}" for row in shown for name in row["unbalanced"]]
    count = sum(len(row["share"]) for row in shown)
    print(f"outside the interval: {len(outside)} of {count} gauges", *outside, sep="\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="workloads or files; by default, the half")
    parser.add_argument(
        "--half", default=_corpus.PUBLISHED, help="of the corpus; published by default"
    )
    parser.add_argument("--leaky", action="store_true", help="the leaky sides alone")
    parser.add_argument("--most", type=int, help="so many sides alone")
    parser.add_argument("--captures", type=Path, help="folder for the captures")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where rows are appended")
    return parser.parse_args()


def current(results: Path, workloads: Iterable[Workload]) -> Iterator[dict[str, Any]]:
    """Yield the stored rows of these workloads and of today's code."""
    codes = {one.name: _code(one) for one in workloads}
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    yield from (row for row in map(json.loads, lines) if row["code"] == codes.get(row["workload"]))


def _code(workload: Workload) -> str:
    return hashlib.sha256(f"{workload.code} {_rule()}".encode()).hexdigest()[:12]


@cache
def _rule() -> str:
    """Return the code that finds causes; `text.py` and `changes.py` only tell them."""
    names = ("balance", "evidence", "find", "grouping")
    folder = Path(causes.__file__).parent
    return "".join((folder / f"{name}.py").read_text(encoding="utf-8") for name in names)


def _measured(workload: Workload, side: str, captures: Path | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(captures or scratch, f"{workload.name}-{workload.code}", side).resolve()
        if not storage.folders(out):
            _capture(workload, side, Path(scratch, "whole"))
            shutil.copytree(Path(scratch, "whole"), out)
        variant = verdicts.judge(load.load(out)).variants[side]
    found = variant.found
    return {
        **{"workload": workload.name, "half": workload.half, "side": side},
        **{"code": _code(workload), "verdict": variant.verdict},
        "kinds": [one.kind for one in found.causes],
        "loop": _of_loop([one.chain for one in found.causes]),
        "placed": sum(one.site is not None for one in found.causes),
        "kept": sum(bool(one.chain) for one in found.causes),
        "share": {name: round(one.share, 3) for name, one in found.balance.items()},
        "unbalanced": [*_unbalanced(variant)],
    }


def _capture(workload: Workload, side: str, out: Path) -> None:
    """Run a side with all instruments, though the corpus asks for the gauges alone."""
    options = CaptureOptions(
        variants=[side], params=workload.params, seed=_corpus.SEEDS.get(workload.half, 0),
        steps=_corpus.STEPS, runs=RUNS, out=out,
    )  # fmt: skip
    planned = plan(str(workload.file), options)
    planned = replace(planned, scenario={**planned.scenario, "stacks": True})
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        runs = [
            pool.submit(measure, job, lambda *_: None, threading.Event()) for job in jobs(planned)
        ]
    for run in runs:
        run.result()


def _unbalanced(variant: VariantVerdict) -> Iterator[str]:
    """Yield the gauges of which causes explain more, or with the rest less, than the interval."""
    for name, one in variant.found.balance.items():
        gauge = variant.gauge(name)
        parts = [p.per_step for c in variant.found.causes for p in c.gauges if p.gauge == name]
        total, slack = one.explained + one.unexplained, 1e-9 * abs(one.growth)
        if gauge and not (
            gauge.low - slack <= total <= gauge.high + slack and sum(parts) <= gauge.high + slack
        ):
            yield name


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("side", "of", "causes", "workloads", "share", "95 % interval")
    for name, of in sides(rows).items():
        for count, number in sorted(Counter(map(counted, of)).items()):
            low, high = stats.binomtest(number, len(of)).proportion_ci(method="exact")
            share = f"{number / len(of):.3f}"
            table.add_row(
                name, str(len(of)), str(count), str(number), share, f"{low:.3f} to {high:.3f}"
            )
    return table


def _of_loop(chains: list[str]) -> int:
    """Return how many causes are the loop's own list, if there is one that the workload keeps."""
    kept = sum(_LOOP in chain for chain in chains)
    return kept if any(chain and _LOOP not in chain for chain in chains) else 0


def counted(row: dict[str, Any]) -> int:
    """Return the causes of a side, without what the loop keeps beside the workload."""
    return len(row["kinds"]) - row["loop"]


def sides(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows by what should be found: one cause of a leak that was found, else none."""
    leaky = [row for row in rows if row["side"] == LEAKY]
    return {
        "leaky": leaky,
        "leaky, verdict leak": [row for row in leaky if row["verdict"] == "leak"],
        "fixed or benign": [row for row in rows if row["side"] != LEAKY],
    }


if __name__ == "__main__":
    main()
