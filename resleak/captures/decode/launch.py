"""Have what a process left read by another of its own, whose loss is an error and no more."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from resleak.errors import StoreError

#: The reader computes little, and must not ask the network for symbols of what it is shown.
_FRUGAL = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "DEBUGINFOD_URLS": "",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_OPENING = [sys.executable, "-m", "resleak.captures.decode.worker"]
_begun: dict[str, subprocess.Popen[str]] = {}


def read(
    capture: Path,
    folder: Path,
    marks: Sequence[Mapping[str, Any]],
    studied: Iterable[Path],
    root: Path | None = None,
    *,
    timeout_s: float = 600.0,
) -> dict[str, Any]:
    """Turn a memray capture into the tables of a capture folder.

    Parameters
    ----------
    capture : Path
        A file that memray wrote in the format ``ALL_ALLOCATIONS``.
    folder : Path
        Where ``stacks.parquet``, ``live.parquet`` and ``marks.parquet`` go.
    marks : sequence of mapping
        What the run noted of each mark: ``mark``, ``step``, ``phase``.
    studied : iterable of Path
        Files, or folders of files, under study.
    root : Path, optional
        A folder whose files are named relative to it.
    timeout_s : float
        How long reading may take.

    Returns
    -------
    dict
        What should be known about the capture: the fields of `memray.Integrity`.

    Raises
    ------
    StoreError
        If the capture is not one of memray, of another version, or damaged.
    """
    with tempfile.TemporaryDirectory(prefix="resleak-") as scratch:
        noted = Path(scratch, "marks.json")
        noted.write_text(json.dumps(list(marks)), encoding="utf-8")
        command = [sys.executable, "-m", "resleak.captures.decode.memray_main"]
        command += [str(capture), str(folder)]
        command += ["--marks", str(noted)]
        command += [option for path in studied for option in ("--studied", str(path))]
        command += ["--root", str(root)] if root is not None else []
        result = _finished(_started(command), capture.name, timeout_s)
    if result.returncode:
        raise StoreError(_told(capture.name, result))
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts


def read_handles(
    census: Path,
    folder: Path,
    work: Path,
    studied: Iterable[Path],
    root: Path | None = None,
    *,
    timeout_s: float = 600.0,
) -> None:
    """Turn what a process wrote of its handles into the tables of a capture folder.

    Parameters
    ----------
    census : Path
        As `resleak.harness.child.handles` writes it.
    folder : Path
        Where ``handles.parquet``, ``stacks.parquet`` and ``marks.parquet`` go.
    work : Path
        The folder for temporary files that the process had to itself.
    studied : iterable of Path
        Files, or folders of files, under study.
    root : Path, optional
        A folder whose files are named relative to it.
    timeout_s : float
        How long reading may take.

    Raises
    ------
    StoreError
        If there is nothing to read.
    """
    command = [sys.executable, "-m", "resleak.captures.decode.handles", str(census), str(folder)]
    command += ["--work", str(work)]
    command += [option for path in studied for option in ("--studied", str(path))]
    command += ["--root", str(root)] if root is not None else []
    result = _finished(_started(command), census.name, timeout_s)
    if result.returncode:
        raise StoreError(_told(census.name, result))


def read_any(
    captures: Sequence[Path],
    folder: Path,
    *,
    everything: bool = False,
    timeout_s: float = 3600.0,
) -> dict[str, Any]:
    """Turn captures of a program that we did not run into tables.

    Parameters
    ----------
    captures : sequence of Path
        Files that memray wrote: of a process, and of its forked children.
    folder : Path
        Where the tables go.
    everything : bool
        Write ``peak`` and ``temporary`` too.
    timeout_s : float
        How long reading may take.

    Returns
    -------
    dict
        What should be known about the captures, as `any_program.Tables` has it.

    Raises
    ------
    StoreError
        If the first capture is not one of memray, of another version, or damaged.
    """
    begin(captures, everything=everything)
    process, name = _begun.pop(_job(captures, everything)), captures[0].name
    result = _finished(process, name, timeout_s, json.dumps(str(folder)))
    if result.returncode:
        raise StoreError(_told(name, result))
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts


def begin(captures: Sequence[Path], *, everything: bool = False) -> None:
    """Begin to read, if that has not begun; `read_any` says where to write it."""
    job = _job(captures, everything)
    if job in _begun:
        return
    process = _begun[job] = _started(_OPENING)
    atexit.register(_end, process)
    assert process.stdin
    with suppress(OSError):  # it has ended: told when it is asked for
        process.stdin.write(job)
        process.stdin.flush()


def _job(captures: Sequence[Path], everything: bool) -> str:
    return json.dumps({"captures": [*map(str, captures)], "everything": everything}) + "\n"


def _started(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, **_FRUGAL},
        process_group=0,
    )


def _finished(
    process: subprocess.Popen[str], name: str, timeout_s: float, told: str = ""
) -> subprocess.CompletedProcess[str]:
    with process:
        try:
            out, err = process.communicate(told, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            told = f"{name} could not be read within {timeout_s:g} s; capture fewer steps"
            raise StoreError(told) from None
        finally:
            _end(process)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def _end(process: subprocess.Popen[str]) -> None:
    """End a process with what it forked, however it ended itself."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _told(name: str, result: subprocess.CompletedProcess[str]) -> str:
    if result.returncode < 0:
        cause = signal.Signals(-result.returncode).name
        return f"{name} is damaged: its reader ended with {cause}; capture it again"
    lines = result.stderr.strip().splitlines()
    return lines[-1] if lines else f"{name} could not be read (code {result.returncode})"
