"""Measure the cost of watching: the watcher's CPU time over wall time, at one sample per second.

Three processes are watched at the same time: a small one, a leaking one, and a large one (5 000
descriptors, 400 MB, 50 threads, 4 workers). Beside them runs a process that loads the same modules
and then sleeps: its CPU time is the cost of starting. The first 30 s do not count in the steady
share.

    python benchmarks/watching.py [--seconds 300] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import psutil

START_S = 30
SMALL = "import time; time.sleep(10**6)"
LEAKS = "import os, time\nwhile True: os.open(os.devnull, os.O_RDONLY); time.sleep(0.5)"
LARGE = """
import os, threading, time
files = [os.open(os.devnull, os.O_RDONLY) for _ in range(5000)]
memory = bytearray(os.urandom(1024)) * 400_000
for _ in range(50):
    threading.Thread(target=time.sleep, args=(10**6,), daemon=True).start()
for _ in range(4):
    if os.fork() == 0: time.sleep(10**6)
time.sleep(10**6)
"""
IDLE = """
import time
from resleak.experiments import watch
from resleak.ui.cli import _watch_display
time.sleep(10**6)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        targets = {"small": SMALL, "leaking": LEAKS, "large": LARGE}
        watchers = {
            name: start(stack, *watch(start(stack, "-c", code).pid, Path(folder, name)))
            for name, code in targets.items()
        }
        watchers["idle"] = start(stack, "-c", IDLE)
        rows = measured(watchers, options.seconds)
    for name, row in rows.items():
        print(f"{name:8}", *(f"{key} {value:.3g}" for key, value in row.items()), sep="  ")
    if options.json:
        options.json.write_text(json.dumps({"seconds": options.seconds, **rows}, indent=1) + "\n")


def watch(pid: int, out: Path) -> list[str]:
    return ["-m", "resleak", "watch", str(pid), "--out", str(out), "--json"]


def start(stack: ExitStack, *arguments: str) -> psutil.Popen:
    process = psutil.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, start_new_session=True
    )
    stack.callback(process.wait)
    stack.callback(kill, process)
    return process


def kill(process: psutil.Popen) -> None:
    for one in [*process.children(recursive=True), process]:
        one.kill()


def measured(watchers: dict[str, psutil.Popen], seconds: int) -> dict[str, dict[str, float]]:
    time.sleep(START_S)
    early, began = spent(watchers), time.monotonic()
    time.sleep(seconds - START_S)
    late, lasted = spent(watchers), time.monotonic() - began
    return {
        name: {
            "start_s": early[name],
            "steady_percent": 100 * (late[name] - early[name]) / lasted,
            "whole_percent": 100 * late[name] / (lasted + START_S),
            "rss_mb": watchers[name].memory_info().rss / 1e6,
        }
        for name in watchers
    }


def spent(watchers: dict[str, psutil.Popen]) -> dict[str, float]:
    times = {name: process.cpu_times() for name, process in watchers.items()}
    return {name: used.user + used.system for name, used in times.items()}


if __name__ == "__main__":
    main()
