"""Measure the default command: workloads after public reports, logs of services, the corpora.

    python benchmarks/field.py                   everything; about three quarters of an hour
    python benchmarks/field.py --series          only the logs of services; three minutes
    python benchmarks/field.py --workloads       only the workloads, with psleak beside
    python benchmarks/field.py --corpora         only the corpora of `accuracy.py`; a quarter of one
    python benchmarks/field.py --quick           one seed per series, ten minutes of workloads
    python benchmarks/field.py --no-measuring    print what is stored, of whatever code
    python benchmarks/field.py NAME ...          only these workloads

Each workload is a file of benchmarks/field with its source and its truth, which was counted without
resleak (`field/_truth.py`). It is judged as a user would: `resleak investigate FILE`, no options,
in an environment of its own if it needs packages. Rows go to benchmarks/results/field.jsonl, keyed
by the code of the workload and of the package; a stopped run resumes where it was.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import _field_corpus as corpora
import _field_rows as counting
import _field_series as series
import _field_work as work
import pandas as pd
from rich.console import Console
from rich.table import Table

import resleak
from resleak.errors import ResleakError

PARTS = ("series", "workloads", "corpora")
RESULTS = Path(__file__).parent / "results" / "field.jsonl"
_QUICK_S = 600.0
_MIB_PER_H = 3600 / 2**20
#: The package's code that is judged, in keys of rows; peers do not depend on it.
_NO_CODE = "peer"


def main() -> None:
    """Measure what is missing, and print the tables."""
    options = _options()
    known = list(_stored(options.results))
    until = time.monotonic() + (_QUICK_S if options.quick else float("inf"))
    seeds = 1 if options.quick else series.SEEDS
    parts = options.parts or (["workloads"] if options.names else PARTS)
    if not options.no_measuring:
        on = lambda: time.monotonic() < until  # noqa: E731
        if "series" in parts:
            known += _measure_series(options.results, known, seeds)
        if "workloads" in parts:
            known += _measure_work(options.results, known, options.names, on)
        if "corpora" in parts:
            known += _measure_corpora(options.results, known, on)
    stored = options.no_measuring
    if "series" in parts:
        _print_series(pd.DataFrame(_latest_series(known, stored=stored)))
    if "workloads" in parts:
        rows = pd.DataFrame(_latest_work(known, stored=stored))
        _print_work(rows, pd.DataFrame(_first(known)))
    if "corpora" in parts:
        _print_corpora(known, stored=stored)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="workloads; by default all")
    for part in PARTS:
        parser.add_argument(f"--{part}", action="append_const", dest="parts", const=part)
    parser.add_argument("--quick", action="store_true", help="one seed, ten minutes of workloads")
    parser.add_argument("--no-measuring", action="store_true", help="print what is stored")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where rows are appended")
    return parser.parse_args()


def _measure_series(results: Path, known: list[dict[str, Any]], seeds: int) -> list[dict[str, Any]]:
    """Judge each series at each look; return the new rows."""
    judge, have, new = work.judge_code(), {row["key"] for row in known}, []
    for one in series.all_series():
        code = one.code()
        for seed in range(seeds):
            key = f"{one.name} {seed} {code} {judge}"
            if key in have:
                continue
            with tempfile.TemporaryDirectory() as folder:
                found = list(_judged(one, seed, Path(folder)))
            told = {"key": key, "series": one.name, "seed": seed, "code": code, "package": judge}
            told |= {"family": one.family, "leaks": one.leaks, "rate": one.rate}
            row = {**told, "is_constant": one.is_constant, "looks": found}
            if not one.leaks:
                row["planted"] = _planted(one, seed, found)
            _append(results, row)
            new.append(row)
    return new


def _planted(one: series.Series, seed: int, looks: list[dict[str, Any]]) -> str:
    """Return the verdict on a series with a leak of the printed limit in it; empty without one."""
    limit = next((x.get("limit") for x in looks if (x["tool"], x["look"]) == ("resleak", 1)), None)
    if limit is None:
        return ""
    with tempfile.TemporaryDirectory() as folder:
        captures = resleak.load(one.written(Path(folder), seed, plant_per_h=limit))
        return str(resleak.judge(captures).gauges[0].verdict)


def _judged(one: series.Series, seed: int, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield resleak's and the peers' verdicts on a series at each look."""
    t, mib = one.points(seed)
    for look in series.LOOKS:
        try:
            found = resleak.judge(resleak.load(one.written(folder, seed, look)))
        except ResleakError as error:
            yield {"look": look, "tool": "resleak", "verdict": "error", "why": str(error)[:200]}
        else:
            [gauge] = found.gauges
            rates = (gauge.per_step, gauge.low, gauge.high, gauge.detection_limit)
            names = ("per_h", "low", "high", "limit")
            numbers = [rate * _MIB_PER_H for rate in rates]
            rounded = [float(f"{n:.4g}") if math.isfinite(n) else None for n in numbers]
            told = dict(zip(names, rounded, strict=True))
            yield {"look": look, "tool": "resleak", "verdict": str(gauge.verdict), **told}
        count = max(round(len(t) * look), 2)
        for tool, rule in series.PEERS.items():
            yield {"look": look, "tool": tool, "verdict": rule(t[:count], mib[:count])}


def _measure_work(
    results: Path, known: list[dict[str, Any]], names: list[str], on: Callable[[], bool]
) -> list[dict[str, Any]]:
    """Run each workload under each tool, one at a time; return the new rows."""
    console = Console(stderr=True)
    package, have, new = work.package_code(), {row["key"] for row in known}, []
    for one in work.all_work(names):
        for tool, ask in work.TOOLS.items():
            judged_by = package if tool == "resleak" else _NO_CODE
            key = f"{one.name} {tool} {one.code} {judged_by}"
            if key in have or not on():
                continue
            found = ask(one)
            row = {"key": key, **one.row(), "tool": tool, "package": judged_by, **found}
            console.print(f"{one.name}: {one.kind}; {tool}: {row['verdict']}, {row['seconds']} s")
            _append(results, row)
            new.append(row)
    return new


def _measure_corpora(
    results: Path, known: list[dict[str, Any]], on: Callable[[], bool]
) -> list[dict[str, Any]]:
    """Investigate each side of the corpora, one at a time; return the new rows."""
    console = Console(stderr=True)
    package, have, new = work.package_code(), {row["key"] for row in known}, []
    for one, side in corpora.sides():
        key = corpora.key(one, side, package)
        if key in have or not on():
            continue
        row = {"key": key, **corpora.judged(one, side)}
        console.print(f"{row['side']}: {row['verdict']}, {row['seconds']} s")
        _append(results, row)
        new.append(row)
    return new


def _print_corpora(known: list[dict[str, Any]], *, stored: bool) -> None:
    codes = {f"{one.name} {side}": one.code for one, side in corpora.sides()}
    mine = [row for row in known if "side" in row]
    latest = {
        row["side"]: row for row in mine if stored or codes.get(row["side"], "\0") in row["key"]
    }
    if not latest:
        return
    rows = pd.DataFrame(latest.values()).assign(tool="resleak")
    state = _state([row["key"].split()[-1] for row in latest.values()], work.package_code())
    _show(counting.table(rows), f"corpora, default command ({state})")
    _show(counting.table(rows, "half"), "corpora by part")
    _show(counting.times(rows), "corpora, time to a verdict")
    _show(counting.missed_sides(rows), "corpora, wrong or open verdicts")


def _latest_work(known: list[dict[str, Any]], *, stored: bool) -> list[dict[str, Any]]:
    """Return the last row per workload and tool: of its present code, or whatever is stored."""
    present = {one.name: one.row() for one in work.all_work()}
    rows = [row for row in known if row.get("workload") in present]
    if not stored:
        rows = [row for row in rows if present[row["workload"]]["code"] == row["code"]]
    latest = {(row["workload"], row["tool"]): row for row in rows}
    # The header of a workload may have been corrected since; its code is that of the row.
    return [{**row, **present[row["workload"]], "code": row["code"]} for row in latest.values()]


def _latest_series(known: list[dict[str, Any]], *, stored: bool) -> list[dict[str, Any]]:
    """Return the looks of the last row per series and seed, chosen as in `_latest_work`."""
    codes = {one.name: one.code() for one in series.all_series()}
    rows = [row for row in known if row.get("series") in codes]
    if not stored:
        rows = [row for row in rows if codes[row["series"]] == row["code"]]
    latest = {(row["series"], row["seed"]): row for row in rows}
    return [{**row, **look} for row in latest.values() for look in row["looks"]]


def _state(codes: Iterable[str], present: str) -> str:
    """Return how many rows are of the present code of the package."""
    each = list(codes)
    return f"{each.count(present)} of {len(each)} by the present code"


def _first(known: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first stored row of each workload and tool, of any state of the package."""
    rows = [row for row in known if "workload" in row]
    return list({(row["workload"], row["tool"]): row for row in reversed(rows)}.values())


def _print_series(rows: pd.DataFrame) -> None:
    if rows.empty:
        return
    each = rows.drop_duplicates(["series", "seed"])
    state = _state(each["package"], work.judge_code())
    _show(counting.table(rows[rows["look"] == 1]), f"series, at the end ({state})")
    _show(counting.looks(rows), "series, from look to look")
    _show(counting.coverage(rows), "series, intervals that cover the true rate")
    _show(counting.limits(rows), "series, printed detection limits that are true at the end")
    _show(counting.families(rows), "series, decisions of resleak at the end")
    _show(counting.missed_series(rows), "series, wrong or open verdicts of resleak")


def _print_work(rows: pd.DataFrame, first: pd.DataFrame) -> None:
    if rows.empty:
        return
    rows = rows.reindex(columns=[*dict.fromkeys([*rows.columns, "steps", "why", "gauges"])])
    mine = rows[rows["tool"] == "resleak"]
    state = _state(mine["package"], work.package_code())
    _show(counting.table(rows), f"workloads, default command ({state})")
    _show(counting.table(mine, "kind"), "workloads, resleak by kind")
    _show(pd.DataFrame([counting.share(*counting.rates_covered(rows))]),
          "workloads, counted rates within their intervals")  # fmt: skip
    _show(counting.times(rows, first), "workloads, time to a verdict")
    _show(counting.missed_work(rows), "workloads, wrong or open verdicts of resleak")


def _show(rows: pd.DataFrame, title: str) -> None:
    table = Table(*map(str, rows.columns), title=title)
    for row in rows.to_dict(orient="records"):
        table.add_row(*map(_cell, row.values()))
    Console(width=150).print(table)


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _stored(results: Path) -> Iterator[dict[str, Any]]:
    if results.exists():
        yield from map(json.loads, results.read_text(encoding="utf-8").splitlines())


def _append(results: Path, row: dict[str, Any]) -> None:
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
