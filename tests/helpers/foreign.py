"""Programs that know nothing of resleak, recorded by memray."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

#: Keeps 2000 bytes at a time for about a second, in one line, beside a cache that is replaced.
PROGRAM = """
import json, mmap, os, sys, threading, time
import memray
from app.store import keep

options = json.loads(sys.argv[2])
kind, seconds = options.pop("kind", "plain"), options.pop("seconds", 0.6)
if "file_format" in options:
    options["file_format"] = memray.FileFormat[options["file_format"]]

def churn():
    return [bytes(5000) for _ in range(20)]

def work():
    end, cache = time.monotonic() + seconds, None
    while time.monotonic() < end:
        keep()
        cache = churn()
        time.sleep(0.002)

def dive(depth):
    return keep() if depth == 0 else dive(depth - 1)

def main():
    if kind == "threads":
        threads = [threading.Thread(target=work, name=f"worker {n}") for n in range(3)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    elif kind == "fork":
        children = [pid for pid in (os.fork() for _ in range(1)) if pid]
        work()
        if not children:
            return
        for pid in children:
            os.waitpid(pid, 0)
    elif kind == "deep":
        sys.setrecursionlimit(3000)
        for _ in range(50):
            dive(900)
            time.sleep(0.004)
    elif kind == "profiled":
        sys.setprofile(None)
        work()
    elif kind == "reserves":
        reserved = mmap.mmap(-1, 2 << 30)
        work()
    elif kind == "killed":
        work()
        os.kill(os.getpid(), 9)
    else:
        work()

compress = options.pop("compress", True)
destination = memray.FileDestination(sys.argv[1], overwrite=True, compress_on_exit=compress)
with memray.Tracker(destination=destination, **options):
    main()
"""
STORE = """kept = []
def keep():
    kept.append(bytearray(2000))
"""
#: Where the program keeps: its file, its function and line.
LEAK = ("app/store.py", "keep", 3)


def record(folder: Path, name: str = "some.bin", **options: Any) -> Path:
    """Run the program under memray, with options of `memray.Tracker`, and return what it wrote."""
    (folder / "app").mkdir(parents=True, exist_ok=True)
    (folder / "app" / "store.py").write_text(STORE)
    program, capture = folder / "run.py", folder / name
    program.write_text(PROGRAM)
    options = {"trace_python_allocators": True, **options}
    command = [sys.executable, str(program), str(capture), json.dumps(options)]
    environment = {**os.environ, "PYTHONMALLOC": "pymalloc"}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert capture.exists(), ran.stderr
    assert ran.returncode == (-9 if options.get("kind") == "killed" else 0), ran.stderr
    return capture
