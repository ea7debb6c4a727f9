"""Count what a workload keeps, without resleak: its truth is written into its header.

    PYTHON benchmarks/field/_truth.py FILE [--steps 20000] [--seconds 20]

Only the standard library and /proc are asked: objects and blocks of the interpreter, bytes of
malloc, descriptors, threads, zombies, maps, anonymous pages, pending tasks, files in /dev/shm and
in the folder of temporary files. Each line has the counts after so many steps, the last one the
growth per step over its second half.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import inspect
import json
import os
import runpy
import sys
import tempfile
import threading
import time
from pathlib import Path

_FIELDS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
           "fordblks", "keepcost")  # fmt: skip


class _Malloc(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        rows = counted(options.file, options.steps, options.seconds)
        print(json.dumps(per_step(rows)), flush=True)
    os._exit(0)  # leaked threads would keep the process alive


def counted(file: str, steps: int, seconds: float) -> list[dict[str, float]]:
    """Return the counts after 50 steps, after a quarter more, and so on."""
    sys.path.insert(0, str(Path(file).parent))
    work = runpy.run_path(file)
    step, arguments = work["step"], []
    if "setup" in work:
        world = result(work["setup"]())
        arguments = [world] if len(inspect.signature(step).parameters) > 1 else []
    rows, at, until = [], 50, time.monotonic() + seconds
    for number in range(steps):
        if number == at:
            rows.append({"steps": number, **counts()})
            print(json.dumps(rows[-1]), flush=True)
            at = int(at * 1.25)
        if time.monotonic() > until:
            break
        result(step(number, *arguments))
    rows.append({"steps": number, **counts()})
    return rows


def result(value):
    return LOOP.run_until_complete(awaited(value)) if inspect.isawaitable(value) else value


async def awaited(value):
    return await value


def counts() -> dict[str, float]:
    """Return what this process has now, after a collection."""
    gc.collect()
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = _Malloc
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    used = libc.mallinfo2()
    return {
        "objects": len(gc.get_objects()),
        "blocks": sys.getallocatedblocks(),
        "malloc": used.uordblks + used.hblkhd,
        "anonymous": int(status["RssAnon"].split()[0]) * 1024,
        "file": int(status["RssFile"].split()[0]) * 1024,
        "fds": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "zombies": zombies(),
        "maps": len(Path("/proc/self/maps").read_text().splitlines()),
        "tasks": len(asyncio.all_tasks(LOOP)),
        "shm": len(set(os.listdir("/dev/shm")) - SHM_BEFORE),
        "tempfiles": sum(len(names) + len(files) for _, names, files in os.walk(tempfile.tempdir)),
    }


def zombies() -> int:
    """Return the number of children that ended and were not waited for."""
    found = 0
    for task in os.listdir("/proc/self/task"):
        try:
            children = Path(f"/proc/self/task/{task}/children").read_text().split()
        except OSError:
            continue
        for child in children:
            found += ") Z " in Path(f"/proc/{child}/stat").read_text()
    return found


def per_step(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the growth per step over the second half."""
    last = rows[-1]
    half = min(rows[:-1], key=lambda row: abs(row["steps"] - last["steps"] / 2))
    took = max(last["steps"] - half["steps"], 1)
    rates = {name: round((last[name] - half[name]) / took, 4) for name in last if name != "steps"}
    return {"from": half["steps"], "to": last["steps"], **{n: r for n, r in rates.items() if r}}


SHM_BEFORE = set(os.listdir("/dev/shm"))
LOOP = asyncio.new_event_loop()
asyncio.set_event_loop(LOOP)

if __name__ == "__main__":
    main()
