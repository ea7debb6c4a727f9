"""Count how often the true line comes first, for many kinds of leaks beside a churning cache.

    python benchmarks/attribution.py --seeds 4
    python benchmarks/attribution.py list_append mmaps --seeds 2 --captures /tmp/captures
    python benchmarks/attribution.py --stored       print what is stored, of whatever code

Each case is one kind of leak (a file in benchmarks/attribution/), at a rate between 16 B and 100 kB
per step, beside a bounded cache of 1, 10 or 100 times the memory leaked in the whole run. The same
work runs under resleak, memray and tracemalloc, each in its own process. Rows are appended to
benchmarks/results/attribution.jsonl as they come; a stopped run resumes where it was, and rows of
an earlier workload or ranking do not count. With --captures the captures are kept, and ranked again
without a new run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from scipy import stats

from resleak.analysis import stacks
from resleak.captures import load, storage
from resleak.harness import spawn
from resleak.harness.measurement import measure
from resleak.harness.plan import CaptureOptions, Plan, jobs, plan

HERE = Path(__file__).parent
WORKLOADS = HERE / "attribution"
RESULTS = HERE / "results" / "attribution.jsonl"
RANKING = Path(stacks.__file__).with_name("allocation_sites.py")
TOOLS = ("resleak", "memray", "tracemalloc")
FACTORS = (1, 10, 100)
CACHES = ("random", "ring", "flushed")
RATES = (16, 100, 1000, 10_000, 100_000)
#: Slower than this, in bytes a step, a kind would leak less than once in thirty steps, the length
#: of a window; those not named can leak at any rate.
LEAST = {
    **{"mmaps": 1000, "zlib_streams": 1000, "sqlite_connections": 10_000, "threads": 1000},
    **{"sqlite_statements": 1000, "duckdb_rows": 10_000, "memo": 1000, "asyncio_tasks": 100},
    **{"classes": 100, "logging_handlers": 100, "exceptions": 100, "arrow_columns": 100},
}
#: No Python profiler sees memory that C code allocates through a function found at run time.
UNSEEN = {"ctypes_malloc"}
#: No cache is larger than 300 MB, which is a hundred times this rate over a run.
FASTEST = {100: 10_000}


@dataclass(frozen=True)
class Case:
    """One workload with its parameters."""

    kind: str
    factor: int
    seed: int

    @property
    def number(self) -> int:
        """A number that is the same in each run of this program, and different for each case."""
        return int(_digest(f"{self.kind} {self.factor} {self.seed}"), 16)

    @property
    def params(self) -> dict[str, Any]:
        """Parameters of the workload: each kind meets each rate and each cache in turn."""
        fastest, least = FASTEST.get(self.factor, RATES[-1]), LEAST.get(self.kind, 0)
        rates = [rate for rate in RATES if least <= rate <= fastest]
        turn = self.seed + FACTORS.index(self.factor) + int(_digest(self.kind), 16)
        cache = CACHES[turn % len(CACHES)]
        return {
            "rate": float(rates[turn % len(rates)]),
            "factor": float(self.factor),
            "cache": cache,
        }

    @property
    def tuned(self) -> bool:
        """Return True if the ranking may be tuned on this case; the others only measure it."""
        return self.number % 2 == 0


def main() -> None:
    """Run the cases that the command line names, and print the tables."""
    options = _options()
    kinds = options.kinds or sorted(path.stem for path in WORKLOADS.glob("[!_]*.py"))
    cases = [Case(k, f, s) for s in range(options.seeds) for f in FACTORS for k in kinds]
    if options.stored:
        rows = {_key(row): row for row in stored(options.results)}
        Console(width=150).print(
            state([row for row in rows.values() if _key(row)[0] in set(cases)])
        )
    else:
        rows = {_key(row): row for row in current(options.results)}
    for case in [] if options.stored else cases:
        for tool in options.tools:
            if (case, tool) not in rows:
                row = _judge(case, tool, options.captures)
                _store(row, options.results)
                rows[case, tool] = row
                told = f"{case.kind} ×{case.factor} seed {case.seed} {tool}: {row['place']}"
                Console(stderr=True).print(f"{told} ({row['seconds']} s)")
    mine = [row for (case, _), row in rows.items() if case in set(cases)]
    _show(mine, options.misses)
    if options.stored:
        print(state(mine))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", help="kinds of leaks; all by default")
    parser.add_argument("--seeds", type=int, default=2, help="cases of each kind and cache")
    parser.add_argument("--tools", nargs="*", choices=TOOLS, default=TOOLS)
    parser.add_argument("--results", type=Path, default=RESULTS, help="where rows are appended")
    parser.add_argument("--captures", type=Path, help="folder for the captures")
    parser.add_argument("--misses", action="store_true", help="list what resleak missed")
    parser.add_argument("--stored", action="store_true", help="measure nothing")
    return parser.parse_args()


def _judge(case: Case, tool: str, captures: Path | None) -> dict[str, Any]:
    began = time.monotonic()
    accused = _resleak(case, captures) if tool == "resleak" else _peer(case, tool)
    true = _true_lines(case.kind)
    place = next((n for n, line in enumerate(accused, 1) if tuple(line) in true), None)
    return {
        **{"tool": tool, **case.params, **asdict(case), "code": _code(case, tool)},
        **{"tuned": case.tuned, "place": place, "first": accused[:3]},
        "seconds": round(time.monotonic() - began, 1),
    }


def _resleak(case: Case, captures: Path | None) -> list[tuple[str, int]]:
    with tempfile.TemporaryDirectory() as scratch:
        inputs = _code(case, "memray")
        out = Path(captures or scratch, f"{case.kind}-{case.factor}-{case.seed}-{inputs}").resolve()
        if not storage.folders(out):
            _capture(case, out)
        found = stacks.sites(load.load(out))
    return [(Path(site.file).name, int(site.line)) for site in found.itertuples()]


def _capture(case: Case, out: Path) -> None:
    """Capture under the memory profiler only: the ranking does not use the gauges."""
    options = CaptureOptions(runs=1, seed=case.seed, params=case.params)
    for job in jobs(replace(_planned(case.kind), out=out, options=options)):
        if job.instrument == "memray":
            measure(job, lambda *_: None, threading.Event())


@cache
def _planned(kind: str) -> Plan:
    return plan(str(WORKLOADS / f"{kind}.py"), CaptureOptions())


def _peer(case: Case, tool: str) -> list[tuple[str, int]]:
    asked = json.dumps({"seed": case.seed, "params": case.params})
    command = [sys.executable, str(HERE / "_peers.py"), tool]
    result = subprocess.run(
        [*command, str(WORKLOADS / f"{case.kind}.py"), asked],
        env=spawn.environment({**spawn.presets(case.seed), "PYTHONPATH": str(HERE.parent)}),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if result.returncode:
        raise SystemExit(f"{case} under {tool} failed:\n{result.stderr}")
    return [(file, line) for file, line in json.loads(result.stdout.splitlines()[-1])]


def _true_lines(kind: str) -> set[tuple[str, int]]:
    lines = (WORKLOADS / f"{kind}.py").read_text(encoding="utf-8").splitlines()
    return {(f"{kind}.py", n) for n, line in enumerate(lines, 1) if line.endswith("# leak")}


def _code(case: Case, tool: str) -> str:
    """Return a digest of the workload's and the ranking's code."""
    files = [WORKLOADS / "_beside.py", WORKLOADS / f"{case.kind}.py"]
    files += [RANKING] if tool == "resleak" else []
    return _digest(json.dumps(case.params) + "".join(map(_text, files)))


@cache
def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _key(row: dict[str, Any]) -> tuple[Case, str]:
    return case(row), row["tool"]


def case(row: dict[str, Any]) -> Case:
    """Return the case of a row."""
    return Case(row["kind"], row["factor"], row["seed"])


def current(results: Path = RESULTS) -> Iterator[dict[str, Any]]:
    """Yield the stored rows of the present workloads and ranking."""
    yield from filter(_is_current, _lines(results))


def stored(results: Path = RESULTS) -> list[dict[str, Any]]:
    """Return the last stored row per case and tool, of whatever code."""
    return list({_key(row): row for row in _lines(results)}.values())


def state(rows: list[dict[str, Any]]) -> str:
    """Return how many rows are of the present workloads and ranking."""
    return f"{sum(map(_is_current, rows))} of {len(rows)} rows by the present code"


def _lines(results: Path) -> Iterator[dict[str, Any]]:
    if results.exists():
        yield from map(json.loads, results.read_text().splitlines())


def _is_current(row: dict[str, Any]) -> bool:
    exists = (WORKLOADS / f"{row['kind']}.py").exists()
    return exists and bool(row["code"] == _code(*_key(row)))


def _store(row: dict[str, Any], results: Path) -> None:
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a") as file:
        file.write(json.dumps(row) + "\n")


def _show(rows: list[dict[str, Any]], misses: bool) -> None:
    console = Console(width=150)
    seen = [row for row in rows if row["kind"] not in UNSEEN]
    groups: dict[str, list[dict[str, Any]]] = {"all": seen}
    groups |= {f"cache ×{f}": [r for r in seen if r["factor"] == f] for f in FACTORS}
    groups |= {f"{rate:,} B/step": [r for r in seen if r["rate"] == rate] for rate in RATES}
    groups |= {"tuned on": [r for r in seen if r["tuned"]]}
    groups |= {"held out": [r for r in seen if not r["tuned"]]}
    groups |= {"unseen by all": [row for row in rows if row["kind"] in UNSEEN]}
    console.print(_table(groups))
    if misses:
        for row in (r for r in seen if r["tool"] == "resleak" and r["place"] != 1):
            console.print({k: row[k] for k in ("kind", "factor", "seed", "rate", "cache", "place")})


def _table(groups: dict[str, list[dict[str, Any]]]) -> Table:
    table = Table("cases", *(f"{tool}: {what}" for tool in TOOLS for what in ("first", "in three")))
    for name, rows in groups.items():
        cells = []
        for tool in TOOLS:
            places = [row["place"] for row in rows if row["tool"] == tool]
            cells += [_share(places, most) for most in (1, 3)]
        table.add_row(name, *cells)
    return table


def _share(places: Iterable[int | None], most: int) -> str:
    """Return the share within the first places, with its 95 % interval (Clopper and Pearson)."""
    hits = [place is not None and place <= most for place in places]
    if not hits:
        return "–"
    bounds = stats.binomtest(sum(hits), len(hits)).proportion_ci(method="exact")
    return f"{sum(hits)}/{len(hits)} {100 * bounds.low:.0f}–{100 * bounds.high:.0f} %"


if __name__ == "__main__":
    main()
