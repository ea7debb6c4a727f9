"""Start a command for as long as a block runs, if wanted under memray."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from resleak.errors import ProcessError
from resleak.harness.spawn import Guarded

#: Seconds between asking a command to end (SIGTERM) and killing it.
_PATIENCE_S = 10.0
#: Options of the interpreter itself that `memray run` takes, too.
_MODULE_OR_CODE = ("-m", "-c")
#: Loads memray before the working folder is on the path, where a file could have its name.
_MEMRAY = (
    "import sys; first = sys.path.pop(0); from memray.commands import main; "
    "sys.path.insert(0, first); sys.exit(main())"
)


@contextmanager
def running(command: Sequence[str]) -> Iterator[Guarded]:
    """Run a command in its own session; at the end of the block nothing of it is left."""
    try:  # what it prints goes to standard error
        process = Guarded(command, stdout=2, patience_s=_PATIENCE_S)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ProcessError(f"cannot start {command[0]}: {reason}") from None
    try:
        yield process
    finally:
        process.end()


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
