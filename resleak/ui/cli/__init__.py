"""The command line: each command calls one public function and prints what it returns.

What a person or a program asked for goes to standard output; progress and messages go to
standard error. Heavy imports stand inside the commands, so that ``--help`` is quick.
"""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, NoReturn, cast

import typer
from typer.models import CommandInfo

from resleak.errors import ResleakError
from resleak.ui.cli import console
from resleak.ui.cli._common import CANNOT, INTERRUPTED, OK, Panel

# typer has no public name for what the parser raises, only for this one child of it.
_UsageError = cast(type[Exception], typer.BadParameter.__base__)

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Reproduce a leak, judge it with numbers, find the line, share one file.",
    epilog="Exit codes: 0 done, and all is as declared; 1 judged, and something is not as declared "
    "(in a file that declares nothing: something leaks or hangs); 2 what was asked for cannot be "
    "done, and one line says why; 130 interrupted, and nothing is left running.",
)


def _commands() -> Iterator[CommandInfo]:
    """Yield the commands of every module of this package, panel by panel."""
    names = [found.name for found in iter_modules(__path__) if not found.name.startswith("_")]
    modules = [import_module(f"{__name__}.{name}") for name in names]
    modules.sort(key=lambda module: not getattr(module, "FIRST", False))
    for panel in Panel:
        for module in modules:
            if getattr(module, "PANEL", None) == panel:
                for command in module.app.registered_commands:
                    command.rich_help_panel = panel
                    yield command


app.registered_commands = list(_commands())


def _end_as_after_ctrl_c(*names: str) -> None:
    """Let these signals end a run in good order, unless the shell has it ignore them (nohup)."""
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def main() -> NoReturn:
    """Run the command line and exit with the code that the help documents."""
    _end_as_after_ctrl_c("SIGTERM", "SIGHUP")
    warnings.showwarning = lambda message, *_args, **_more: console.say(str(message))
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], prog_name="resleak", standalone_mode=False) or OK)
    except ResleakError as error:
        console.say(str(error))
    except _UsageError as error:
        told = cast(Any, error).format_message().rstrip(".")
        console.say(f"{told}; `resleak COMMAND --help` says more")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(CANNOT)
