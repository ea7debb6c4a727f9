"""Measure what a sweep costs beside its measurements, and extrapolate it to a million runs.

    python benchmarks/sweep.py
    python benchmarks/sweep.py --jobs 100 500 --runs 3

Four parts: processor and wall time per run of the thread pool and of a Dask cluster with as many
slots, on no-op jobs and on runs of two seconds; memory of the scheduler; requests and bytes of the
store per run; seconds of a query on single files, on compacted ones and on the index. Stored in
benchmarks/results/sweep.json, from which the tables of docs/scale.md are written.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections import Counter, deque
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from resleak.captures import tables
from resleak.captures.manifest import Declared, Exit, Manifest
from resleak.captures.store import index
from resleak.captures.store.objects import Objects
from resleak.captures.store.record import RunSpec
from resleak.captures.store.store import Store
from resleak.experiments.sweep import engines, plan, task
from resleak.experiments.sweep.plan import Run
from resleak.experiments.sweep.task import MADE, Outcome
from resleak.workload.scenario import Scenario

RESULTS = Path(__file__).parent / "results" / "sweep.json"
PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"
SLOTS = 2
#: Runs before those that count: each worker has imported what it needs by then.
WARMUP = 4 * SLOTS
#: Prices to extrapolate with, dollars: list prices of a large cloud, rounded.
PRICES = {"1,000 writes": 0.005, "1,000 reads": 0.0004, "GB-month": 0.023, "core hour": 0.04}
MILLION = 1_000_000
QUICK = "def step(i):\n    pass\n"
TWO_SECONDS = "import time\n\n\ndef step(i):\n    time.sleep(0.05)\n"


def main() -> None:
    """Measure all parts, store the results, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--jobs", type=int, nargs="*", default=[100, 1000, 5000])
    parser.add_argument("--runs", type=int, default=8, help="runs of two seconds per engine")
    parser.add_argument("--stored", type=int, default=10_000, help="runs in the store to query")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results = {
            "no_op": [row for jobs in options.jobs for row in no_op(folder, jobs)],
            "two_seconds": two_seconds(folder, options.runs),
            "store": requests(folder),
            "query": query(folder, options.stored),
        }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    page(results)


def nothing(run: Run, stop: Any = None, canary: bool = False) -> Outcome:
    return Outcome(MADE, "")


def runs_of(folder: Path, source: str, count: int, steps: int = 1) -> list[Run]:
    """Return runs of a workload, as an expanded plan has them."""
    (folder / "work.py").write_text(source)
    (folder / "plan.toml").write_text(f'workloads = ["work.py"]\nsteps = {steps}\n')
    (cell,) = plan.expand(plan.read(folder / "plan.toml"), folder).cells
    return [cell.run(number) for number in range(1, count + 1)]


def family() -> list[psutil.Process]:
    """Return this process, which has the scheduler, and all workers."""
    here = psutil.Process()
    return [here, *(one for one in here.children(recursive=True))]


def cpu_s() -> float:
    """Return the processor time of this process and its workers, without measured processes."""
    total = 0.0
    for one in family():
        try:
            times = one.cpu_times()
            if "entry.py" not in " ".join(one.cmdline()):
                total += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return total


def clocked(run: Run, url: str, stop: Any = None, canary: bool = False) -> Outcome:
    """Perform a run, and return its seconds as the message."""
    began = time.perf_counter()
    outcome = task.perform(run, url, canary, stop)
    return replace(outcome, message=str(time.perf_counter() - began))


def timed(cluster: str, perform: Any, runs: list[Run]) -> dict[str, float]:
    """Return processor time, and wall time besides the work, per run on a warmed-up engine."""
    first, rest = runs[:WARMUP], runs[WARMUP:]
    with engines.opened(cluster, SLOTS, perform) as engine:
        submit, submitted = engine.submit, {}

        def noted(run: Run, host_class: str) -> Any:
            submitted[run.key] = time.perf_counter()
            return submit(run, host_class)

        engine.submit = noted  # type: ignore[method-assign]
        for part in (first, rest):
            lanes = {name: deque[Run]() for name in engine.slots()}
            lanes[next(iter(lanes))].extend(part)
            cpu, beside = cpu_s(), 0.0
            for run, future in engines.window(engine, lanes, lambda: False):
                outcome = engines.outcome(future)
                assert outcome.kind == MADE
                took_s = time.perf_counter() - submitted[run.key]
                beside += took_s - float(outcome.message or 0.0)
            cpu = cpu_s() - cpu
        rss = psutil.Process().memory_info().rss
    return {"cpu_ms": 1e3 * cpu / len(rest), "wall_ms": 1e3 * beside / len(rest), "rss": rss}


def no_op(folder: Path, jobs: int) -> list[dict[str, Any]]:
    """Return what a run costs that does nothing."""
    runs = runs_of(folder, QUICK, jobs + WARMUP)
    rows = []
    for engine, cluster in (("threads", ""), ("cluster", engines.LOCAL)):
        rows.append({"engine": engine, "jobs": jobs, **timed(cluster, nothing, runs)})
        print(rows[-1], flush=True)
    return rows


def two_seconds(folder: Path, count: int) -> dict[str, dict[str, float]]:
    """Return what a run of two seconds costs besides its measured process."""
    results = {}
    runs = runs_of(folder, TWO_SECONDS, count + WARMUP, steps=20)
    for engine, cluster in (("threads", ""), ("cluster", engines.LOCAL)):
        store = Store.made(str(folder / f"store-{engine}"))
        perform = partial(clocked, url=store.url)
        results[engine] = timed(cluster, perform, runs)
        print(engine, results[engine], flush=True)
    return results


class Counted(Objects):
    """Counts its requests by kind."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.count: Counter[str] = Counter()

    def _call(self, operation: Any, *arguments: Any, **more: Any) -> Any:
        writes = ("_link", "_put_new", "_replace", "pipe_file")
        self.count["writes" if operation.__name__ in writes else "reads"] += 1
        return super()._call(operation, *arguments, **more)


def requests(folder: Path) -> dict[str, float]:
    """Return requests and bytes per run of a plain measurement with the gauges."""
    store = Store.made(str(folder / "requests"))
    counted = Counted(store.url)
    store.objects = counted
    task._store.cache_clear()
    original = Store.opened
    Store.opened = classmethod(lambda cls, url: store)  # type: ignore[assignment,method-assign]
    runs = runs_of(folder, QUICK, 4, steps=240)
    outcomes = [task.perform(run, store.url, False) for run in runs]
    Store.opened = original  # type: ignore[method-assign]
    assert {one.kind for one in outcomes} == {MADE}
    per_run = {kind: counted.count[kind] / len(runs) for kind in ("writes", "reads")}
    files = [path for path in (folder / "requests").rglob("*") if path.is_file()]
    sizes = {
        kind: sum(path.stat().st_size for path in files if kind in path.parts) / len(runs)
        for kind in ("runs", "tables")
    }
    index.compact(store)
    parts = (folder / "requests" / "compacted").rglob("*.parquet")
    sizes["compacted"] = sum(path.stat().st_size for path in parts) / len(runs)
    return {**per_run, **sizes}


def query(folder: Path, count: int) -> dict[str, float]:
    """Return seconds of one question: of single files, of compacted ones, of the index."""
    store = Store.made(str(folder / "query"))
    path = folder / "trace.parquet"
    columns = {"t_s": np.arange(60.0), "step": np.arange(60), "rss": np.arange(60) * 4096.0}
    tables.write_table(path, columns, {})
    made = Scenario()
    made.name = "made/up"
    made.variant("leaky")(lambda _step, _run: None)
    spec = RunSpec(
        scenario="made/up", variant="leaky", instrument="gauges", run=1, seed=0, steps=60,
        params={}, digest="0" * 12, python="3.11", implementation="CPython", environment="0" * 12,
    )  # fmt: skip
    manifest = Manifest(
        status="complete", scenario=Declared.parse(made.describe()), variant="leaky",
        exit=Exit("exited", "exit", 0),
    )  # fmt: skip
    for run in range(1, count + 1):
        store.put(replace(spec, run=run), replace(manifest, run=run), [path], 1.0, "host")
    traces = "SELECT max(rss) FROM traces"
    seconds = {"runs": count, "single_files_s": asked(store, traces)}
    began = time.perf_counter()
    index.compact(store)
    seconds["compaction_s"] = time.perf_counter() - began
    seconds["compacted_s"] = asked(store, traces)
    seconds["index_s"] = asked(store, "SELECT count(*) FROM runs WHERE status = 'exited'")
    shutil.rmtree(folder / "query")
    print(seconds, flush=True)
    return seconds


def asked(store: Store, sql: str) -> float:
    began = time.perf_counter()
    index.query(store, sql)
    return time.perf_counter() - began


def page(results: dict[str, Any]) -> None:
    """Write the measured constants, and what follows for a million runs, into docs/scale.md."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{measured(results)}\n{END}{after}", encoding="utf-8")


def measured(results: dict[str, Any]) -> str:
    from resleak.formatting import amount, duration, number

    no_ops = [
        f"| {row['engine']} | {row['jobs']} | {row['cpu_ms']:.1f} ms | {row['wall_ms']:.1f} ms "
        f"| {amount(row['rss'], 'B')} |"
        for row in results["no_op"]
    ]
    two, store, asked = results["two_seconds"], results["store"], results["query"]
    more_cpu = two["cluster"]["cpu_ms"] - two["threads"]["cpu_ms"]
    more_wall = two["cluster"]["wall_ms"] - two["threads"]["wall_ms"]
    last = max(results["no_op"], key=lambda row: (row["engine"] == "cluster", row["jobs"]))
    size = store["runs"] + store["tables"] + store["compacted"]
    core_h = 2.0 / 3600 * MILLION
    money = {
        "writes": store["writes"] * MILLION / 1000 * PRICES["1,000 writes"],
        "reads": store["reads"] * MILLION / 1000 * PRICES["1,000 reads"],
        "bytes": size * MILLION / 1e9 * PRICES["GB-month"],
        "core hours": core_h * PRICES["core hour"],
    }
    rate = 1e3 / last["cpu_ms"]
    return "\n".join(
        [
            "| engine | no-op jobs | processor time per run | wall time to and fro | memory |",
            "|---|---|---|---|---|",
            *no_ops,
            "",
            f"Runs of two seconds on {SLOTS} slots: the cluster took {more_cpu:.1f} ms more "
            f"processor time per run than the thread pool, and {more_wall:.1f} ms more wall time.",
            "",
            "| per run | |",
            "|---|---|",
            f"| writes to the store | {number(store['writes'])} |",
            f"| reads from the store | {number(store['reads'])} |",
            f"| record | {amount(store['runs'], 'B')} |",
            f"| tables | {amount(store['tables'], 'B')} |",
            f"| compacted, beside them | {amount(store['compacted'], 'B')} |",
            "",
            f"| question to {asked['runs']} runs | |",
            "|---|---|",
            f"| of single files | {asked['single_files_s']:.2f} s |",
            f"| of compacted files | {asked['compacted_s']:.2f} s |",
            f"| of the index | {asked['index_s']:.2f} s |",
            f"| (compaction, once) | {asked['compaction_s']:.1f} s |",
            "",
            "For 1,000,000 runs of two seconds:",
            "",
            "| what | amount | dollars |",
            "|---|---|---|",
            f"| core hours | {number(core_h)} | {money['core hours']:.0f} |",
            f"| writes | {number(store['writes'] * MILLION)} | {money['writes']:.0f} |",
            f"| reads | {number(store['reads'] * MILLION)} | {money['reads']:.1f} |",
            f"| bytes | {amount(size * MILLION, 'B')} | {money['bytes']:.2f} per month |",
            f"| scheduler on one core, at most {rate:.0f} runs per second | "
            f"{duration(MILLION / rate)} | |",
            f"| listing of all keys, 1,000 per request | {MILLION // 1000} requests | 0.005 |",
        ]
    )


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
