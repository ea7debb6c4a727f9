"""Kill the runner of every scenario in the middle of its work, and count the processes left.

    python benchmarks/killed.py
    python benchmarks/killed.py pl_drivers/abrupt_termination --after 3

SIGKILL leaves no chance to clean up: children, their servers and their workers have to end by
themselves. Exits with 1 if any process is left two seconds later.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from resleak.workload import catalog

#: Marks every process that descends from a runner: the environment is inherited.
MARK = "RESLEAK_KILLED_BENCHMARK"


def main() -> None:
    """Kill the scenarios on the command line, and print the table."""
    options = _options()
    table, left = Table("scenario", "running when killed", "left 2 s later"), 0
    for name in options.names or list(catalog.paths()):
        running, remaining = _kill(name, options.after)
        left += len(remaining)
        table.add_row(name, str(running), ", ".join(remaining) or "nothing")
    Console(width=140).print(table)
    sys.exit(left > 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="scenarios; all by default")
    parser.add_argument("--after", type=float, default=2.0, help="seconds until the kill")
    return parser.parse_args()


def _kill(name: str, after_s: float) -> tuple[int, list[str]]:
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [sys.executable, "-m", "resleak", "capture", name, "--out", folder]
        env = {**os.environ, MARK: mark, "TMPDIR": folder}
        runner = subprocess.Popen(
            command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _wait_for_a_run(Path(folder), runner)
        time.sleep(after_s)
        running = len(_marked(mark)) - 1
        runner.kill()
        runner.wait()
        time.sleep(2)
        return running, [f"{one.pid} {one.name()}" for one in _marked(mark)]


def _wait_for_a_run(folder: Path, runner: subprocess.Popen[bytes]) -> None:
    while runner.poll() is None and not list(folder.rglob("trace.raw")):
        time.sleep(0.05)


def _marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


if __name__ == "__main__":
    main()
