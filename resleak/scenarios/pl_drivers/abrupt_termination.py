"""SIGKILL skips every `finally`; what it would have cleaned up remains and blocks the next start.

The document asks for a test of clean-up after abrupt terminations; what it finds is ours. A worker
takes a lock, starts a helper process, listens on a port and writes a blob. Each step starts one
worker in a folder of its own, kills it halfway through, and starts it again.

- `leaky` cleans up in `finally`, as the driver's well-handled code does. SIGKILL runs no
  `finally`: per step one half-written blob under its final name, one lock file and one helper
  process remain. The lock file makes every second start refuse, so the clean-up never happens.
- `fixed` needs no clean-up code. The lock is a `flock` on the folder, which the system releases;
  the helper ends when its input closes, and holds the lock until then; the blob is renamed once
  it is complete; and the next start removes partial files. Nothing remains, none is refused.

The port is free again in both.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from resleak.scenarios import _pl_worker
from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="000 testing #4",
    claim="resources may not be cleaned up after abrupt termination",
    condition="the process is killed, so that no finally runs; the lock file and the helper "
    "process are ours",
    language="TypeScript",
    claimed_by="ours",
    symptoms={"files_left": "leak", "orphans": "leak", "starts_refused": "broken"},
    outcome="reproduced",
    control="fds",
    limits=[
        Limit("starts_refused", at_end=0, source="a worker that was killed can be restarted"),
        Limit("ports_left", at_end=0, source="the port of a killed worker is free again"),
    ],
    steps=36,
    warmup=6,
    block=3,
    stacks=False,
)
SET_CHILD_SUBREAPER = 36


class Workers:
    """Starts workers, kills them, and counts what they leave behind."""

    def __init__(self, run: Run, kind: str, lifeline: int) -> None:
        self.folder, self.kind, self.lifeline = run.workdir, kind, lifeline
        self.files_left = self.starts_refused = self.ports_left = 0
        self.helpers: set[int] = set()

    def start(self, folder: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-S", "-E", _pl_worker.__file__]
        return subprocess.Popen(  # opens
            [*command, self.kind, str(folder), str(self.lifeline)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[self.lifeline],
            text=True,
        )

    def kill_halfway(self, folder: Path) -> None:
        with self.start(folder) as worker:
            assert worker.stdout is not None
            port, helper = map(int, worker.stdout.readline().split())
            os.kill(worker.pid, signal.SIGKILL)
        self.helpers.add(helper)
        with socket.socket() as probe:
            self.ports_left += probe.connect_ex(("127.0.0.1", port)) == 0

    def start_again(self, folder: Path) -> None:
        with self.start(folder) as worker:
            worker.communicate("go on\n")
        self.starts_refused += worker.returncode != 0

    def look(self, folder: Path) -> None:
        whole = {"blob": 2 * len(_pl_worker.HALF)}
        for file in folder.iterdir():
            self.files_left += file.stat().st_size != whole.get(file.name)
        self.helpers = {pid for pid in self.helpers if os.waitpid(pid, os.WNOHANG) == (0, 0)}


@scenario.setup
def workers(run: Run) -> Iterator[Workers]:
    # Orphans become children of this process, which can then wait for them.
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1)
    lifeline, end = os.pipe()  # closed when this process ends: no helper outlives it
    workers = Workers(run, "careful" if run.variant == "leaky" else "crash_only", lifeline)
    yield workers
    os.close(end)
    os.close(lifeline)
    for pid in workers.helpers:
        os.waitpid(pid, 0)


@scenario.gauge("files")
def files_left(workers: Workers) -> float:
    """Lock files and partial files after the next start."""
    return workers.files_left


@scenario.gauge("processes")
def orphans(workers: Workers) -> float:
    """Helper processes whose worker is gone, after the next start."""
    return len(workers.helpers)


@scenario.gauge("starts", kind="counter")
def starts_refused(workers: Workers) -> float:
    """Starts that failed after a worker was killed."""
    return workers.starts_refused


@scenario.gauge("ports", kind="counter")
def ports_left(workers: Workers) -> float:
    """Ports that still answer after their worker was killed."""
    return workers.ports_left


@scenario.variant("leaky", expect=scenario.symptoms)
@scenario.variant("fixed")
def kill(step: int, workers: Workers) -> None:
    """Kill a worker in the middle of its work, then start the next one."""
    folder = workers.folder / str(step)
    folder.mkdir()
    workers.kill_halfway(folder)
    workers.start_again(folder)
    workers.look(folder)
