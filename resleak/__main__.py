"""Run the command line: ``python -m resleak``."""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback of an import before `main`

import atexit
import errno
import gc
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from resleak.errors import install_command, save_traceback
from resleak.formatting import plain_text

CANNOT, UNEXPECTED, INTERRUPTED = 2, 70, 130
#: Errors of the user's files, disk and limits, rather than of this program.
_SURROUNDINGS = {
    errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EISDIR, errno.ELOOP, errno.EMFILE,
    errno.ENAMETOOLONG, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.ENOTDIR, errno.EPERM,
    errno.EROFS,
}  # fmt: skip


def main() -> NoReturn:
    """Run the command line, and exit with a code that the help documents."""
    _end_in_good_order("SIGINT", "SIGTERM", "SIGHUP")
    atexit.register(_freeze)
    _open_closed_streams()
    _give_home()
    gc.set_threshold(50_000)  # what is loaded is no garbage
    try:
        sys.exit(_run())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        message, code = _explain(error)
    with suppress(OSError):
        print("resleak:", plain_text(" ".join(message.split())), file=sys.stderr, flush=True)
    sys.exit(code)


def _end_in_good_order(*names: str) -> None:
    """Raise KeyboardInterrupt at the first of these signals, and ignore them from then on.

    Cleaning up is not interrupted. What the shell has us ignore (nohup) stays ignored.
    """
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]

    def end(*_: object) -> NoReturn:
        for number in heeded:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in heeded:
        signal.signal(number, end)


def _open_closed_streams() -> None:
    """Open standard streams that are closed on the null device: no file may take their number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)  # the lowest free number
            stream = open(null, "w" if number else "r", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)  # it lives on where another one is wrapped around


def _give_home() -> None:
    """Set HOME to a folder of this process for a user without one, as containers have them."""
    try:
        Path.home()
    except RuntimeError:
        with suppress(OSError):  # nothing can be written here: some commands need nothing
            os.environ["HOME"] = tempfile.mkdtemp(prefix="resleak-home-")
            atexit.register(shutil.rmtree, os.environ["HOME"], ignore_errors=True)


def _freeze() -> None:
    """Skip the garbage collection at the end: the process frees its memory."""
    if "duckdb" not in sys.modules:  # it reports every object that it does not see collected
        gc.freeze()


def _run() -> int:
    for argument in sys.argv[1:]:
        try:
            argument.encode()
        except UnicodeEncodeError:
            print(f"resleak: the argument {argument!a} is not UTF-8; rename it", file=sys.stderr)
            return CANNOT
    if sys.argv[1:2] == ["open"]:
        _begin(sys.argv[2:])
    from resleak.ui import cli

    return cli.main()


def _begin(arguments: list[str]) -> None:
    """Start decoding a memray file while the command line is still loading."""
    # Another memray has to be installed first.
    from resleak.analysis import memray_file
    from resleak.report import ANSWERS

    if any(argument.startswith("--with") for argument in arguments):
        return
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if before != "-o" and os.path.isfile(argument):
            with suppress(Exception):  # the command itself will say what is wrong
                memray_file.begin(Path(argument), fresh="--fresh" in arguments, answers=ANSWERS)


def _explain(error: Exception) -> tuple[str, int]:
    try:
        os.getcwd()
    except OSError:
        return "the working directory was deleted; change to another one", CANNOT
    if isinstance(error, OSError) and error.errno in _SURROUNDINGS:
        name = f": {error.filename}"[:200] if error.filename else ""
        return f"{error.strerror}{name}", CANNOT
    if isinstance(error, MemoryError):
        return "there is not enough memory; free some, or raise its limit (ulimit -v)", CANNOT
    if isinstance(error, ModuleNotFoundError) and (command := install_command(error.name or "")):
        return f"this needs {error.name}: {command}", CANNOT
    return save_traceback(error), UNEXPECTED


if __name__ == "__main__":
    main()
