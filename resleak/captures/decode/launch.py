"""Start the worker that decodes recordings, and collect its answer."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from resleak.captures.manifest import Mark
from resleak.errors import StoreError

_PACKAGE = str(Path(__file__).parents[3])
_RUN = (
    "import runpy, sys; sys.path.append(sys.argv.pop()); "
    "runpy.run_module(sys.argv.pop(), run_name='__main__', alter_sys=True)"
)
#: Without the working folder on its path (-P): it imports nothing from the user's folders.
COMMAND = [sys.executable, "-P", "-c", _RUN, "resleak.captures.decode.worker", _PACKAGE]
#: The worker computes little, and must not ask the network for symbols.
_FRUGAL = {"ARROW_DEFAULT_MEMORY_POOL": "system", "DEBUGINFOD_URLS": ""}
_FRUGAL |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_begun: dict[str, subprocess.Popen[str]] = {}
#: Workers that were not waited for yet, so that no other process can have their numbers, with our
#: end of a pipe: they end when it is closed, also by a kill of this process.
_running: dict[subprocess.Popen[str], int] = {}


def recording(
    decoder: str,
    file: Path,
    folder: Path,
    marks: Sequence[Mark],
    studied: Iterable[Path],
    root: Path | None = None,
    *,
    source: bool = True,
    timeout_s: float = 600.0,
) -> None:
    """Decode a recording of ours by a module of this package into the tables of its capture.

    Files below `studied` are the code under study; files below `root` are named relative to it;
    with `source`, the lines of its stacks are stored.
    """
    job: dict[str, Any] = {"decoder": decoder, "capture": str(file)}
    job |= {"marks": [asdict(mark) for mark in marks]}
    job |= {"studied": [*map(str, studied)], "root": str(root) if root else None, "source": source}
    _decode(job, folder, file.name, timeout_s)


def any_program(
    captures: Sequence[Path],
    folder: Path,
    *,
    everything: bool,
    answers: Mapping[str, str],
    packages: Path | None = None,
) -> dict[str, Any]:
    """Decode memray files of a process that we did not run, the parent's first; return their facts.

    `answers` names what to compute while the tables are in memory: ``NAME.json`` by
    ``module:function``. `packages` is a folder with another memray.
    """
    job = _job(captures, everything, answers)
    job |= {"packages": str(packages)} if packages else {}
    return _decode(job, folder, captures[0].name, timeout_s=3600.0)


def begin(captures: Sequence[Path], answers: Mapping[str, str]) -> None:
    """Start to decode before `any_program` asks for it, without everything or other packages."""
    _start(_job(captures, False, answers))


def _job(captures: Sequence[Path], everything: bool, answers: Mapping[str, str]) -> dict[str, Any]:
    job = {"decoder": "any_program", "captures": [*map(str, captures)], "everything": everything}
    return job | {"answers": dict(answers)}


def _start(job: Mapping[str, Any]) -> str:
    """Start a worker on a job, unless one is at work on it; return its key in `_begun`."""
    line = json.dumps(job) + "\n"
    if line in _begun:
        return line
    life, ours = os.pipe()
    process = _begun[line] = subprocess.Popen(
        COMMAND,
        pass_fds=(life,),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        errors="replace",
        env={**os.environ, **_FRUGAL},
        process_group=0,
    )
    os.close(life)
    _running[process] = ours
    assert process.stdin
    with suppress(OSError):  # it has ended already: `_decode` reports why
        process.stdin.write(json.dumps({**job, "life": life}) + "\n")
        process.stdin.flush()
    return line


def _decode(job: Mapping[str, Any], folder: Path, name: str, timeout_s: float) -> dict[str, Any]:
    with _begun.pop(_start(job)) as process:
        try:
            out, err = process.communicate(json.dumps(str(folder)) + "\n", timeout=timeout_s)
        except subprocess.TimeoutExpired:
            message = f"{name} could not be read within {timeout_s:g} s; capture fewer steps"
            raise StoreError(message) from None
        finally:
            _end(process)
    code = process.returncode
    if code == -signal.SIGXCPU:
        message = f"{name} took more processor time to read than a file of its size may"
        raise StoreError(f"{message}: it is damaged, or has millions of brief allocations")
    if code < 0:
        cause = signal.Signals(-code).name
        raise StoreError(f"{name} is damaged: its reader ended with {cause}; capture it again")
    if process.returncode:
        reasons = err.strip().splitlines() or [
            f"{name} could not be read (code {process.returncode})"
        ]
        raise StoreError(reasons[-1])
    facts: dict[str, Any] = json.loads(out)
    return facts


def _end(process: subprocess.Popen[str]) -> None:
    """End a worker with what it forked."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if process in _running:
        os.close(_running.pop(process))


@atexit.register
def _end_all() -> None:
    for process in [*_running]:
        _end(process)
