"""Attach memray to a running process through a debugger, or start a command under it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from resleak import formatting
from resleak.errors import PlatformError, ProcessError
from resleak.harness import process_gauges

_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")
DEBUGGERS = ("gdb", "lldb")
#: From this version on, an interpreter runs code at another process's request.
_REMOTE_EXEC = (3, 14)
#: Options of the interpreter itself that `memray run` takes, too.
_MODULE_OR_CODE = ("-m", "-c")
#: Loads memray before the working folder is on the path, where a file could have its name. SIGTERM
#: ends a program that does not handle it as before, but only after its memray file is closed: one
#: that is not lacks its end and takes twice as long to read. Forked children have files of their
#: own, and end as they would without memray.
_MEMRAY = """
import os, signal, sys
first = sys.path.pop(0)
from memray.commands import main
sys.path.insert(0, first)
is_ended = False
def end(*_):
    global is_ended
    is_ended = True
    sys.exit()
def reset():
    if signal.getsignal(signal.SIGTERM) is end:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGTERM, end)
os.register_at_fork(after_in_child=reset)
try:
    sys.exit(main())
finally:
    if is_ended:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
"""
_PATIENCE_S = 60.0
_POLL_S = 0.2


def consequences(seconds: int) -> str:
    """Return what attaching does to the process, for a person to agree to."""
    return (
        "attaching stops the process for a moment under a debugger, has it load memray for "
        f"{formatting.duration(seconds)} and leaves the module loaded; until then Python code that "
        "allocates runs 2 to 7 times slower and memory rises by some MiB; a process that is caught "
        "at a bad moment can hang or crash"
    )


def check(process: process_gauges.Outside) -> None:
    """Raise PlatformError where attaching cannot work."""
    if not any(map(shutil.which, DEBUGGERS)) and sys.version_info < _REMOTE_EXEC:
        raise PlatformError(
            f"attaching needs {' or '.join(DEBUGGERS)} here: install one, or start the program "
            "with `resleak record --memray`"
        )
    scope = _SCOPE.read_text().strip() if _SCOPE.exists() else "0"
    if scope == "3" or (scope in "12" and not process_gauges.Outside(os.getpid()).is_root):
        raise PlatformError(
            f"this system forbids attaching to process {process.pid} (kernel.yama.ptrace_scope is "
            f"{scope}): run as root, or start the program with `resleak record --memray`"
        )


def attach(process: process_gauges.Outside, file: Path, seconds: int) -> Path:
    """Track the allocations of a process for some seconds; return the memray file."""
    check(process)
    file = file.resolve()
    file.parent.mkdir(parents=True, exist_ok=True)
    options = ["--force", "--duration", str(seconds), "--output", str(file)]
    command = [sys.executable, "-P", "-m", "memray", "attach", *options, str(process.pid)]
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        patience = formatting.duration(_PATIENCE_S)
        raise ProcessError(f"memray did not attach within {patience}") from None
    if result.returncode:
        lines = [line for line in (result.stdout + result.stderr).splitlines() if line.strip()]
        raise ProcessError(f"memray did not attach: {lines[-1] if lines else 'it did not say why'}")
    # Until the time is up and the file no longer grows, or the process ends.
    until, size = time.monotonic() + seconds, -1
    while process.alive and (time.monotonic() < until or size != _size(file)):
        size = _size(file)
        time.sleep(_POLL_S)
    return file


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def under_memray(command: Sequence[str], file: Path) -> list[str]:
    """Return the command under memray; raise ProcessError if it starts no Python program."""
    program, *rest = command
    python = Path(program).name.startswith("python")
    if not python or not rest or (rest[0].startswith("-") and rest[0] not in _MODULE_OR_CODE):
        raise ProcessError(
            "--memray needs a command of the form `python FILE ...` or `python -m MODULE ...`"
        )
    options = ["--quiet", "--force", "--follow-fork", "--trace-python-allocators"]
    return [program, "-c", _MEMRAY, "run", *options, "--output", str(file), *rest]
