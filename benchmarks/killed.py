"""Kill commands at random moments with SIGKILL, and see what they leave.

    python benchmarks/killed.py
    python benchmarks/killed.py --times 70 --seed 3

Each of seven commands runs once whole, which also says how long it takes; then it is killed at a
random moment of that time. After each kill: no process of it runs on, all captures that are there
load whole, the same command then works, and it removes the temporary folders of the killed one.
Stored in benchmarks/results/killed.json; exits with 1 if any of that does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from resleak.captures.load import load
from resleak.errors import StoreError

RESULTS = Path(__file__).parent / "results" / "killed.json"
#: Marks every process that descends from a command: the environment is inherited.
MARK = "RESLEAK_KILLED_BENCHMARK"
WORKLOAD = "import app\n\n\ndef step(i):\n    app.handle()\n"
CLEAN = "def handle():\n    open('/dev/null').close()\n"
LEAKY = "KEPT = []\n\n\ndef handle():\n    KEPT.append(open('/dev/null'))\n"
LOOP = "import time\nkept = []\nwhile True:\n    kept.append(bytes(9999))\n    time.sleep(0.01)\n"
COMMANDS = {
    "investigate": ["mine.py", "--steps", "60"],
    "capture": ["arc/auth_cache", "--out", "captures"],
    "record": ["--for", "3s", "--out", "captures", "--", sys.executable, "loop.py"],
    "open": ["loop.bin", "-o", "loop.html"],
    "share": ["arc/auth_cache", "-o", "shared.html"],
    "bisect": ["mine.py", "--git", "HEAD~3..HEAD", "--steps", "40"],
    "compare": ["mine.py", *["--python", sys.executable] * 2, "--steps", "40"],
}


def main() -> None:
    """Kill the commands, print the table, and store the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20, help="how many kills")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    moments = random.Random(options.seed)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = _project(Path(name))
        lasts = {command: _whole(folder, command) for command in COMMANDS}
        rows = []
        for number in range(options.times):
            command = list(COMMANDS)[number % len(COMMANDS)]
            rows.append(_kill(folder, command, moments.uniform(0, lasts[command])))
    table = Table("command", "killed after", "faults")
    for row in rows:
        table.add_row(row["command"], f"{row['after_s']:.2f} s", "; ".join(row["faults"]) or "none")
    Console(width=160).print(table)
    RESULTS.write_text(json.dumps({"seed": options.seed, "kills": rows}, indent=1) + "\n")
    sys.exit(any(row["faults"] for row in rows))


def _project(folder: Path) -> Path:
    """Make what the commands need: a repository whose last revisions leak, and a memray file."""
    (folder / "tmp").mkdir()
    (folder / "loop.py").write_text(LOOP)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], cwd=folder, check=True)
    (folder / "mine.py").write_text(WORKLOAD)
    for number, text in enumerate([CLEAN, CLEAN + "\n", LEAKY, LEAKY + "\n"]):
        (folder / "app.py").write_text(text)
        subprocess.run([*git, "add", "app.py", "mine.py"], cwd=folder, check=True)
        subprocess.run([*git, "commit", "-qm", str(number)], cwd=folder, check=True)
    run = [sys.executable, "-m", "memray", "run", "-q", "-o", "loop.bin", "-c"]
    subprocess.run([*run, "kept = [bytes(999) for _ in range(9999)]"], cwd=folder, check=True)
    return folder


def _start(folder: Path, command: str, mark: str) -> subprocess.Popen[bytes]:
    with (folder / "output").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "resleak", command, *COMMANDS[command]],
            cwd=folder,
            env={**os.environ, MARK: mark, "TMPDIR": str(folder / "tmp")},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def _whole(folder: Path, command: str) -> float:
    """Run a command to its end, and return the seconds it took."""
    begin = time.monotonic()
    code = _start(folder, command, "whole").wait(300)
    if code not in (0, 1):  # 1 says that there is a leak
        sys.exit(f"{command} exits with {code}: {(folder / 'output').read_text()}")
    return time.monotonic() - begin


def _kill(folder: Path, command: str, after_s: float) -> dict[str, object]:
    mark, faults = uuid.uuid4().hex, []
    runner = _start(folder, command, mark)
    time.sleep(after_s)
    runner.kill()
    runner.wait()
    time.sleep(2)
    faults += [f"{one.name()} runs on" for one in psutil.process_iter() if _is_marked(one, mark)]
    faults += _partial(folder / "captures")
    left = list((folder / "tmp").iterdir())
    for path in left:  # as if they had been there for an hour
        os.utime(path, (time.time() - 3600,) * 2, follow_symlinks=False)
    code = _start(folder, command, "next").wait(300)
    if code not in (0, 1):
        faults.append(f"the next run exits with {code}: {(folder / 'output').read_text()[-200:]}")
    faults += [f"{path.name} stays" for path in left if path.exists()]
    return {"command": command, "after_s": round(after_s, 3), "faults": faults}


def _partial(captures: Path) -> list[str]:
    """Return what is wrong with captures that load."""
    if not captures.exists():
        return []
    try:
        loaded = load(captures)
        for capture in loaded:
            for table in capture.path.glob("*.parquet"):
                capture.table(table.stem)
    except StoreError as error:
        return [] if "no captures" in str(error) else [str(error)]
    return [f"{one.path} is partial" for one in loaded if not (one.path / "manifest.json").exists()]


def _is_marked(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


if __name__ == "__main__":
    main()
