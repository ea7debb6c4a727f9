"""Compare `resleak open` with `memray`, from a memray file to a page with its flame graph.

    python benchmarks/open.py
    python benchmarks/open.py --quick
    python benchmarks/open.py --only allocations --events 50_000_000

The files are created here: imports, many allocations, imports with native stacks, deep recursion,
many threads. Both commands open each in turns; the table has the medians of the ratios, ours to
theirs. Time is wall-clock time (CPU time beside it, which other work on the machine changes less).
Memory is the maximum over all processes of a command together, shared pages counted once; it is
sampled in rounds of its own, because sampling slows the processes down. Ours is also listed per
process: the command, its reader, and the fork for memray's second pass. The second opening is
`resleak.open_memray` and its sites in a running process. Both pages are measured without libraries:
memray's come from a network, ours are the scripts. Stored in benchmarks/results/open.json.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results" / "open.json"
IMPORTS = "import pandas, plotly.graph_objects, pyarrow, duckdb"
#: Recorded programs: options of the tracker, and source.
PROGRAMS = {
    "imports": ("trace_python_allocators=True", IMPORTS),
    "allocations": (
        "",
        "kept = []\n"
        "def churn():\n    for _ in range(1000):\n        a, b = bytearray(700), bytearray(900)\n"
        "def leak():\n    kept.append(bytearray(1000))\n"
        "for _ in range(EVENTS // 4000):\n    churn(); leak()",
    ),
    "native": ("native_traces=True", IMPORTS),
    "recursion": (
        "trace_python_allocators=True",
        "import sys; sys.setrecursionlimit(5000); kept = []\n"
        "def dive(n, k):\n    kept.append(bytearray(500))\n    if n: dive(n - 1, k)\n"
        "for k in range(400):\n    dive(800, k)",
    ),
    "threads": (
        "trace_python_allocators=True",
        "import threading; kept = []\n"
        "def work():\n    for n in range(2000):\n        kept.append([bytes(n)] * 2)\n"
        "all = [threading.Thread(target=work) for _ in range(64)]\n"
        "[t.start() for t in all]; [t.join() for t in all]",
    ),
}
#: memray's cheapest equivalent command per capture.
THEIRS = {"native": ["--temporal"]}
GOALS = {
    "time": {"native": 0.5, "": 0.7},
    "memory": {"native": 0.4, "": 1.0},
    "again": {"": 0.03},
    "size": {"": 0.25},
}


@dataclass(frozen=True)
class Cost:
    """Cost of one command."""

    time_s: float
    cpu_s: float


def main() -> None:
    """Create the captures, open them in turns, print and store the ratios."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            _compare(name, _record(Path(folder), name, options.events), options.rounds)
            for name in options.only or PROGRAMS
        ]
    table = Table("capture", "MB", "ours", "memray", "CPU", *GOALS)
    for row in rows:
        times = [f"{row[key]:.2f} s" for key in ("ours_s", "theirs_s")]
        ratios = [_judged(row, key) for key in GOALS]
        size, cpu = f"{row['capture_bytes'] / 1e6:.1f}", f"{row['cpu']:.3g}"
        table.add_row(str(row["capture"]), size, *times, cpu, *ratios)
    console = Console(width=120)
    console.print(table)
    for row in rows:
        shares = ", ".join(f"{share:.2f}" for share in row["memory_of_each_process"])
        console.print(f"{row['capture']}, memory of each process, by all of memray's: {shares}")
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, few events")
    parser.add_argument("--events", type=int, help="of the capture with many allocations")
    parser.add_argument("--rounds", type=int, help="how often both commands open each capture")
    parser.add_argument("--only", action="append", choices=PROGRAMS, help="this capture")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.events = options.events or (1_000_000 if options.quick else 10_000_000)
    return options


def _record(folder: Path, name: str, events: int) -> Path:
    options, program = PROGRAMS[name]
    capture = folder / f"{name}.bin"
    body = "".join(f"    {line}\n" for line in program.replace("EVENTS", str(events)).split("\n"))
    source = folder / f"{name}.py"
    source.write_text(f"import memray\nwith memray.Tracker({str(capture)!r}, {options}):\n{body}")
    subprocess.run([sys.executable, str(source)], check=True)
    return capture


def _compare(name: str, capture: Path, rounds: int) -> dict[str, Any]:
    page, theirs = capture.with_suffix(".ours.html"), capture.with_suffix(".theirs.html")
    python = [sys.executable, "-m"]
    open_it = [*python, "resleak", "open", str(capture), "-o", str(page), "--fresh"]
    reports = [*python, "memray", "flamegraph", *THEIRS.get(name, ["--leaks"]), "-f"]
    reports += ["-o", str(theirs), str(capture)]
    pairs = [(_cost(open_it), _cost(reports)) for _ in range(rounds)]
    held = [(_memory(open_it), _memory(reports)) for _ in range(max(rounds // 2, 1))]
    parts = _median_parts([[one / sum(theirs) for one in ours] for ours, theirs in held])
    again = _again(capture)
    return {
        "capture": name,
        "capture_bytes": capture.stat().st_size,
        "ours_s": statistics.median(ours.time_s for ours, _ in pairs),
        "theirs_s": statistics.median(other.time_s for _, other in pairs),
        "time": statistics.median(ours.time_s / other.time_s for ours, other in pairs),
        "cpu": statistics.median(ours.cpu_s / other.cpu_s for ours, other in pairs),
        "memory": statistics.median(sum(ours) / sum(theirs) for ours, theirs in held),
        "memory_of_each_process": parts,
        "again": again / statistics.median(other.time_s for _, other in pairs),
        "size": _own_part(page, r"<script>.*?</script>") / _own_part(theirs),
        "page_bytes": page.stat().st_size,
        "theirs_page_bytes": theirs.stat().st_size,
    }


def _judged(row: dict[str, Any], key: str) -> str:
    goal = GOALS[key].get(str(row["capture"]), GOALS[key][""])
    ratio = float(str(row[key]))
    return f"{ratio:.3g} {'≤' if ratio <= goal else '>'} {goal}"


def _cost(command: list[str]) -> Cost:
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)  # including its children
    took = time.perf_counter() - begin
    assert status == 0, command
    return Cost(took, used.ru_utime + used.ru_stime)


def _memory(command: list[str]) -> list[int]:
    """Return the memory of each process at their common maximum, in order of start."""
    most, process = [0], psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        most = max(most, [*_held(process)], key=sum)
        time.sleep(0.01)
    assert process.returncode == 0, command
    return most


def _median_parts(rounds: list[list[float]]) -> list[float]:
    """Return the parts of the median round."""
    return sorted(rounds, key=sum)[len(rounds) // 2]


def _held(process: psutil.Process) -> Iterator[int]:
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return
    for one in family:
        try:
            text = Path(f"/proc/{one.pid}/smaps_rollup").read_text()
        except OSError:
            continue
        found = re.search(r"^Pss: +(\d+) kB", text, re.MULTILINE)
        yield int(found[1]) * 1024 if found else 0


def _again(capture: Path) -> float:
    """Return the seconds to open a capture with existing tables and to rank its sites."""
    code = (
        "import sys, time, pandas, scipy.special, resleak\n"
        "import resleak.analysis.stacks.allocation_sites\n"
        "resleak.open_memray(sys.argv[1])\n"
        "t = time.perf_counter(); resleak.open_memray(sys.argv[1]).sites\n"
        "print(time.perf_counter() - t)"
    )
    took = subprocess.run(
        [sys.executable, "-c", code, str(capture)], capture_output=True, text=True, check=True
    )
    return float(took.stdout)


def _own_part(page: Path, library: str = "") -> int:
    """Return the size of a page without our library scripts."""
    html = page.read_text(encoding="utf-8")
    return len((re.sub(library, "", html, flags=re.DOTALL) if library else html).encode())


if __name__ == "__main__":
    main()
