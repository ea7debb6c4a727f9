"""Start a command with all that it starts in turn, and end all of it in good order."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from resleak.errors import ProcessError

_PATIENCE_S = 10.0
#: Options of the interpreter itself, which memray's own command does not take.
_MODULE_OR_CODE = ("-m", "-c")


@contextmanager
def running(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a session of its own; at the end of the block nothing of it is left.

    What it prints goes to standard error. It is asked to end (SIGTERM), and after ten seconds
    made to.

    Raises
    ------
    ProcessError
        If it cannot be started.
    """
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=2, start_new_session=True
        )
    except OSError as error:
        raise ProcessError(f"cannot start {command[0]}: {error.strerror}") from None
    try:
        yield process
    finally:
        _end(process)


def under_memray(command: Sequence[str], file: Path) -> list[str]:
    """Return the command that does the same under memray.

    Raises
    ------
    ProcessError
        If it does not start a Python program.
    """
    program, *rest = command
    python = Path(program).name.startswith("python")
    if not python or not rest or (rest[0].startswith("-") and rest[0] not in _MODULE_OR_CODE):
        raise ProcessError(
            "--memray needs a command of the form `python FILE ...` or `python -m MODULE ...`"
        )
    options = ["--quiet", "--force", "--follow-fork", "--trace-python-allocators"]
    return [program, "-m", "memray", "run", *options, "--output", str(file), *rest]


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        if process.poll() is None:
            process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_PATIENCE_S)
    with suppress(ProcessLookupError, PermissionError):  # what it left behind in its session
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
