"""Start every child process of ours, end it with its descendants, and read why it failed."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from resleak import formatting
from resleak.captures import untrusted
from resleak.captures.locks import cannot_write, temporary_folder
from resleak.captures.raw import FAILURE
from resleak.errors import CaptureError, ProcessError, ScenarioError, StoreError
from resleak.workload.resolve import Workload

_GUARDIAN = Path(__file__).with_name("guardian.py")
_CHILD = Path(__file__).with_name("child") / "entry.py"
_DEADLINE_S = 60.0
#: Seconds between asking a recorded command to end (SIGTERM) and killing it.
_PATIENCE_S = 10.0
#: Seconds that its guardian may take to end all else, and between attempts to continue it.
_END_S, _CONTINUE_S = 40.0, 0.5
#: Limits of every measured process; a scenario may lower them.
RLIMITS = {"RLIMIT_CORE": 0, "RLIMIT_NOFILE": 4096, "RLIMIT_FSIZE": 4 << 30, "RLIMIT_DATA": 8 << 30}
#: Reduce noise of the memory gauges, as measured.
PRESETS = {
    "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}


class Guarded:
    """A process under `guardian`: all its descendants end with it, or when this process dies."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        stdout: int | IO[bytes],
        stderr: int | IO[bytes] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        pass_fds: Sequence[int] = (),
        patience_s: float = 0.0,
    ) -> None:
        life, self._life = os.pipe()
        self._report, report = os.pipe()
        self.pid = self._errno = 0
        self.returncode: int | None = None
        self._guardian: subprocess.Popen[bytes] | None = None
        #: The descendants that had to be killed after the end of the process.
        self.left_behind: list[str] = []
        self._buffer, self._told_all = b"", False
        self._end_s = patience_s + _END_S
        guard = [str(_GUARDIAN), str(life), str(report), str(patience_s)]
        try:
            try:
                self._guardian = subprocess.Popen(
                    [sys.executable, "-I", "-S", *guard, ",".join(map(str, pass_fds)), *command],
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    env=env,
                    cwd=cwd,
                    pass_fds=(life, report, *pass_fds),
                    start_new_session=True,
                )
            finally:
                os.close(life)
                os.close(report)
            while not (self.pid or self._told_all):
                self._receive(None)
            if not self.pid:
                raise OSError(self._errno, os.strerror(self._errno))
        except BaseException:
            self.end()
            raise

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        while self.returncode is None and self._receive(0.0):
            pass
        return self.returncode

    def wait(self, timeout_s: float) -> int:
        """Return the exit code once it has ended; raise TimeoutExpired if it does not."""
        until = time.monotonic() + timeout_s
        while self.returncode is None:
            if not self._receive(max(0.0, until - time.monotonic())):
                raise subprocess.TimeoutExpired(str(self.pid), timeout_s)
        return self.returncode

    def end(self) -> None:
        """End it with all its descendants; helpers that clean up may finish first."""
        if self._life >= 0:
            os.close(self._life)
            self._life = -1
            until = time.monotonic() + self._end_s
            while not self._told_all and time.monotonic() < until:
                if self._guardian:  # the command may have stopped it
                    self._guardian.send_signal(signal.SIGCONT)
                self._receive(_CONTINUE_S)
            if self._guardian:
                if not self._told_all:
                    self._guardian.kill()
                self._guardian.wait()
            os.close(self._report)

    def _receive(self, timeout_s: float | None) -> bool:
        """Take in the next report of the guardian; False if there is none in time."""
        if not is_readable(self._report, timeout_s):
            return False
        data = os.read(self._report, 65536)
        self._told_all = not data
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            word, _, value = line.decode(errors="replace").partition(" ")
            if word == "left":
                self.left_behind.append(value)
            elif word == "exit":
                self.returncode = int(value)
            elif word == "pid":
                self.pid = int(value)
            elif word == "error":
                self._errno = int(value)
        if self._told_all and self.returncode is None:  # the guardian itself was killed
            self.returncode = -signal.SIGKILL
        return True


def is_readable(number: int, timeout_s: float | None) -> bool:
    """Return True once a descriptor can be read, False if it cannot be in time."""
    poll = select.poll()  # takes any number; `select` none from 1,024 on
    poll.register(number, select.POLLIN)
    return bool(poll.poll(None if timeout_s is None else timeout_s * 1000))


@contextmanager
def running(command: Sequence[str]) -> Iterator[Guarded]:
    """Run a command in its own session; at the end of the block nothing of it is left."""
    try:  # what it prints goes to standard error
        process = Guarded(command, stdout=2, patience_s=_PATIENCE_S)
    except (OSError, ValueError) as error:
        raise ProcessError(f"cannot start {command[0]}: {_reason(error)}") from None
    try:
        yield process
    finally:
        process.end()


def _reason(error: Exception) -> object:
    return getattr(error, "strerror", None) or error


def run_to_end(
    command: Sequence[str], env: Mapping[str, str], deadline_s: float, output: Path
) -> int:
    """Run a short helper process and return its exit code, or -9 if it took too long."""
    with output.open("wb") as file:
        process = Guarded(command, env=env, stdout=file, stderr=subprocess.STDOUT)
    try:
        return process.wait(deadline_s)
    except subprocess.TimeoutExpired:
        return -signal.SIGKILL
    finally:
        process.end()


def presets(seed: int, allocator: str = "pymalloc") -> dict[str, str]:
    """Return the variables that are set for a measured process and kept in its manifest."""
    return {**PRESETS, "PYTHONHASHSEED": str(seed % 2**32), "PYTHONMALLOC": allocator}


def environment(chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a measured process: ours with changes."""
    # RESLEAK_MEASURED makes a marked test run as a plain test there.
    ours = {"PYTHONDONTWRITEBYTECODE": "1", "RESLEAK_MEASURED": "1"}
    ours |= {} if sys.dont_write_bytecode else {"RESLEAK_BYTECODE": "1"}
    return {**os.environ, **ours, **chosen}


def ground(what: Workload, folder: Path, rlimits: Mapping[str, int]) -> dict[str, Any]:
    """Return the part of a specification that every kind of child needs."""
    return {
        "workload": what.kind,
        "target": what.target,
        "name": what.name,
        "file": str(what.file),
        "folder": str(folder),
        "import_from": [str(one) for one in what.folders],
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
    output, answer = folder / "helper.txt", folder / "answer.json"
    try:
        arguments = command(spec, python)
    except OSError as problem:
        raise CaptureError(cannot_write("temporary files", problem)) from None
    try:
        code = run_to_end(arguments, environment(PRESETS), _DEADLINE_S, output)
    except (OSError, ValueError) as problem:
        raise CaptureError(f"cannot start {python}: {_reason(problem)}; check --python") from None
    audited = f"{Path(spec['file']).stem}: the audit failed: "
    subject = "" if spec["do"] == "describe" else audited
    if message := failure(output).get("error"):
        raise error(f"{subject}{message}")
    if code == -signal.SIGKILL:
        raise error(f"{subject}loading it took longer than {_DEADLINE_S:g} s, or it was killed")
    with suppress(StoreError, ValueError):
        if code == 0:
            return json.loads(untrusted.content(answer, untrusted.JSON_BYTES))
    if (folder / f"{spec['do']}.json").exists():  # the first thing that a child does is remove it
        raise CaptureError(f"{python} is not a Python interpreter that works here; check --python")
    raise error(f"{subject}the process that loads it {how_it_ended(code)}")


def how_it_ended(code: int) -> str:
    """Return how a process ended that did not report a failure itself."""
    return formatting.ending(code) + " before its work was done" * (code >= 0)


def tail(output: Path) -> str:
    """Return the last 64 KiB that a child printed."""
    with suppress(OSError, StoreError), untrusted.opened(output) as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 65536))
        return file.read().decode(errors="replace")
    return ""


def failure(output: Path) -> dict[str, Any]:
    """Return ``error`` and maybe ``line`` of a child's report of its own failure, or nothing."""
    reports = [line for line in tail(output).splitlines() if line.startswith(FAILURE)]
    report: Any = None
    with suppress(IndexError, ValueError, RecursionError):
        report = json.loads(reports[-1].removeprefix(FAILURE))
    # The workload may print the same word.
    wanted = (("error", str), ("line", int)) if isinstance(report, dict) else ()
    return {name: report[name] for name, kind in wanted if type(report.get(name)) is kind}


def describe(what: Workload, python: str | None = None) -> dict[str, Any]:
    """Return what a workload declares, read by the interpreter that will run it."""
    with temporary_folder() as folder:
        spec = {"do": "describe", **ground(what, folder, {})}
        about: dict[str, Any] = ask(spec, python or sys.executable, ScenarioError)
    return about
