"""How any child process of ours is started, and how it says what went wrong."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resleak.captures.locks import temporary_folder
from resleak.errors import CaptureError, ScenarioError
from resleak.harness.child.driver import FAILURE
from resleak.harness.supervisor import run_to_end
from resleak.workload.resolve import Workload

_CHILD = Path(__file__).with_name("child") / "driver.py"
_DEADLINE_S = 60.0
_GIB = 1024**3
#: Limits of every measured process; a scenario may lower them.
RLIMITS = {
    "RLIMIT_CORE": 0,
    "RLIMIT_NOFILE": 4096,
    "RLIMIT_FSIZE": 4 * _GIB,
    "RLIMIT_DATA": 8 * _GIB,
}
#: Measured to quiet the noise: see docs/decisions/0002-measurement.md.
PRESETS = {
    "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}


def presets(seed: int, allocator: str = "pymalloc") -> dict[str, str]:
    """Return the variables that are set for a measured process and kept in its manifest."""
    return {**PRESETS, "PYTHONHASHSEED": str(seed % 2**32), "PYTHONMALLOC": allocator}


def environment(chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of a child: ours, with what was chosen.

    It is told that it is measured: a test that is marked to be measured is a plain test there.
    """
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "RESLEAK_MEASURED": "1", **chosen}


def ground(what: Workload, folder: Path, rlimits: Mapping[str, int]) -> dict[str, Any]:
    """Return the part of a child's specification that every kind of child needs."""
    return {
        **what.spec(),
        "parent": os.getpid(),
        "folder": str(folder),
        "rlimits": {**RLIMITS, **rlimits},
    }


def command(spec: Mapping[str, Any], python: str) -> list[str]:
    """Write a child's specification into its folder and return the arguments that start it."""
    path = Path(spec["folder"], f"{spec['do']}.json")
    path.write_text(json.dumps(spec))
    return [python, str(_CHILD), str(path)]


def ask(spec: dict[str, Any], python: str, error: type[Exception]) -> Any:
    """Run a short child that only answers, and return the answer."""
    folder = Path(spec["folder"])
    output = folder / "helper.txt"
    try:
        code = run_to_end(command(spec, python), environment(PRESETS), _DEADLINE_S, output)
    except OSError as problem:
        raise CaptureError(f"cannot start {python}: {problem.strerror}; check --python") from None
    if code:
        told = failure(output).get("error") or _ended(code)
        raise error(f"{_name_of(spec)}{told}")
    return json.loads((folder / "answer.json").read_text())


def _ended(code: int) -> str:
    if code == -signal.SIGKILL:
        return f"loading it took longer than {_DEADLINE_S:g} s, or it was killed"
    return f"the process that loads it {how_it_ended(code)}"


def how_it_ended(code: int) -> str:
    """Say how a process ended that did not say so itself."""
    if code >= 0:
        return f"ended with code {code} before its work was done"
    return f"was ended by {signal.Signals(-code).name} (code {code})"


def _name_of(spec: Mapping[str, Any]) -> str:
    return "" if spec["do"] == "describe" else f"{Path(spec['file']).stem}: the audit failed: "


def failure(output: Path) -> dict[str, Any]:
    """Return what a child said of its own failure in its last lines, or an empty dict."""
    try:
        with output.open("rb") as file:  # it may hold megabytes: its end will do
            file.seek(max(0, output.stat().st_size - 65536))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return {}
    told = [line.removeprefix(FAILURE) for line in lines if line.startswith(FAILURE)]
    return dict(json.loads(told[-1])) if told else {}


def describe(what: Workload, python: str | None = None) -> dict[str, Any]:
    """Return what a workload declares, read by the interpreter that will run it.

    Raises
    ------
    ScenarioError
        If it cannot be loaded.
    CaptureError
        If the interpreter cannot be started.
    """
    with temporary_folder() as folder:
        spec = {"do": "describe", **ground(what, folder, {})}
        about: dict[str, Any] = ask(spec, python or sys.executable, ScenarioError)
    return about
