"""Time from command to answer: `resleak investigate`, as it was before, and three other tools.

    python benchmarks/answer.py --psleak FOLDER [--before REVISION] [--rounds N] [--wait S] [NAME]

Ten small workloads, each measured in turns: the package here, the package at an earlier revision
(before causes were added), and psleak, `memray run` and `memray flamegraph` one after the other,
for as many steps. All run with this interpreter; `--psleak` is a folder with psleak in it. Times
are wall-clock, beside them processor time with all child processes, which other work on the machine
changes less. With `--wait`, each waits until the machine is idle, so many seconds at most. The
table has medians of ratios, and their quartiles. Stored in benchmarks/results/answer.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "answer.json"
#: The last revision without causes.
BEFORE = "cf34f78"
STEPS = 300
#: Percent of all processors up to which a machine is idle.
_IDLE = 10.0
WORKLOADS = {
    "objects": "import os\nSEEN = {}\ndef step(i):\n    SEEN[i] = os.urandom(2048)",
    "descriptors": "KEEP = []\ndef step(i):\n    KEEP.append(open('/dev/null'))",
    "sockets": "import socket\nKEEP = []\ndef step(i):\n    KEEP.append(socket.socket())",
    "threads": "import threading\nEND = threading.Event()\n"
    "def step(i):\n    threading.Thread(target=END.wait, daemon=True).start()",
    "tasks": "import asyncio\nKEEP = []\nasync def wait():\n    await asyncio.sleep(3600)\n"
    "async def step(i):\n    KEEP.append(asyncio.create_task(wait()))\n    await asyncio.sleep(0)",
    "native": "import ctypes\nmalloc = ctypes.CDLL(None).malloc\ndef step(i):\n    malloc(4096)",
    "cycles": "class Node:\n    pass\ndef step(i):\n    one, two = Node(), Node()\n"
    "    one.other, two.other = two, one\n    one.data = bytes(500)",
    "cache": "from functools import lru_cache\n@lru_cache(maxsize=128)\ndef page(number):\n"
    "    return bytes(1000)\ndef step(i):\n    page(i)",
    "sqlite": "import sqlite3\nKEEP = []\ndef step(i):\n"
    "    KEEP.append(sqlite3.connect(':memory:').execute('select 1'))",
    "clean": "import json\ndef step(i):\n    json.loads(json.dumps({'a': [i] * 100}))",
}
#: Calls psleak on a step, whatever it is.
PSLEAK = """
import asyncio, importlib, inspect, itertools, sys
sys.path[:0] = [{psleak!r}, "."]
import psleak
step, numbers = importlib.import_module("work").step, itertools.count()
loop = asyncio.new_event_loop()
def call():
    result = step(next(numbers))
    if inspect.isawaitable(result):
        loop.run_until_complete(result)
try:
    psleak.MemoryLeakTestCase().execute(call)
except psleak.Error as error:
    print(error)
"""
MEMRAY = """
import asyncio, inspect, work
async def main():
    for i in range({steps}):
        result = work.step(i)
        if inspect.isawaitable(result):
            await result
asyncio.run(main())
"""
Times = tuple[float, float]


def main() -> None:
    """Measure, store the times, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*WORKLOADS, []], help="all by default")
    parser.add_argument("--psleak", type=Path, required=True)
    parser.add_argument("--before", default=BEFORE)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--wait", type=float, default=0.0)
    asked = parser.parse_args()
    rows: dict[str, list[dict[str, Times]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder, "before")
        worktree = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*worktree, "add", "-q", "--detach", str(before), asked.before], check=True)
        try:
            for _ in range(asked.rounds):
                for name in asked.names or WORKLOADS:
                    work = WORKLOADS[name], before, asked.psleak.resolve(), asked.wait
                    row = _measured(Path(folder), *work)
                    rows.setdefault(name, []).append(row)
                    print(name, {k: v[0] for k, v in row.items()}, file=sys.stderr, flush=True)
        finally:
            subprocess.run([*worktree, "remove", "--force", str(before)], check=True)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    Console(width=120).print(_table(rows))


def _measured(
    folder: Path, source: str, before: Path, psleak: Path, wait_s: float
) -> dict[str, Times]:
    """Return wall-clock and processor time of each tool, in seconds."""
    _time = partial(_timed, wait_s)
    with tempfile.TemporaryDirectory(dir=folder) as where:
        work = Path(where)
        for name, text in {
            "work.py": source,
            "leaks.py": PSLEAK.format(psleak=str(psleak)),
            "all.py": MEMRAY.format(steps=STEPS),
        }.items():
            (work / name).write_text(text)
        ours = ["-m", "resleak", "investigate", "work.py", "--out"]
        tools = (
            ["leaks.py"],
            ["-m", "memray", "run", "-qo", "memray.bin", "all.py"],
            ["-m", "memray", "flamegraph", "-o", "flame.html", "memray.bin"],
        )
        each = [_time(work, arguments, {}) for arguments in tools]
        return {
            "tools": (sum(wall for wall, _ in each), sum(cpu for _, cpu in each)),
            "before": _time(work, [*ours, "before"], {"PYTHONPATH": str(before)}),
            "now": _time(work, [*ours, "now"], {"PYTHONPATH": str(ROOT)}),
            "report": _time(work, [*ours, "report", "-o", "r.html"], {"PYTHONPATH": str(ROOT)}),
        }


def _timed(wait_s: float, work: Path, arguments: list[str], more: Mapping[str, str]) -> Times:
    until = time.monotonic() + wait_s
    while time.monotonic() < until and psutil.cpu_percent(0.5) > _IDLE:
        pass
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=work, env={**os.environ, **more}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr
    message = process.stderr.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise SystemExit(f"{arguments} ended with {process.returncode}: {message}")
    return time.perf_counter() - began, used.ru_utime + used.ru_stime


def _table(rows: Mapping[str, list[dict[str, Times]]]) -> Table:
    table = Table(title="Time to the answer: medians, wall-clock (processor time)")
    for head in (
        "workload",
        "now, s",
        "now / before",
        "now / tools",
        "quartiles of these",
        "report adds, s of processor",
    ):
        table.add_column(head, justify="right" if head != "workload" else "left")
    all_of = [row for of in rows.values() for row in of]
    for name, of in [*rows.items(), ("all", all_of)]:
        wall, cpu = (statistics.median(row["now"][i] for row in of) for i in (0, 1))
        ratios = (
            tuple(statistics.median(row["now"][i] / row[other][i] for row in of) for i in (0, 1))
            for other in ("before", "tools")
        )
        texts = [f"{a:.2f} ({b:.2f})" for a, b in ((wall, cpu), *ratios)]
        by_round = [row["now"][0] / row["tools"][0] for row in of]
        quartiles = statistics.quantiles(by_round, n=4) if len(by_round) > 1 else by_round * 3
        texts.append(f"{quartiles[0]:.2f} to {quartiles[2]:.2f}")
        adds = statistics.median(row["report"][1] - row["now"][1] for row in of)
        table.add_row(name, *texts, f"{adds:.2f}")
    return table


if __name__ == "__main__":
    main()
