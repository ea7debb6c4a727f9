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
from typing import Annotated, Any, cast

import typer
from typer.core import TyperCommand
from typer.models import CommandInfo

from resleak import __version__
from resleak.errors import ResleakError
from resleak.ui import settings
from resleak.ui.cli import console
from resleak.ui.cli._common import CANNOT, OK, Command, Group, Panel

# typer has no public name for what the parser raises, only for this one child of it.
_UsageError = cast(type[Exception], typer.BadParameter.__base__)

app = typer.Typer(
    cls=Group,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Reproduce a leak, judge it with numbers, find the line, share one file.",
    epilog="Exit codes: 0 done, and all is as declared; 1 judged, and something is not as declared "
    "(in a file that declares nothing: something leaks or hangs); 2 the request cannot be carried "
    "out, and one line says why; 3 watch or record was ended by --stop-on; 70 unexpected error, "
    "and one line names the file with its traceback; 130 interrupted, and nothing is left running.",
)


def _commands() -> Iterator[CommandInfo]:
    """Yield the commands of every module of this package, panel by panel."""
    names = [module.name for module in iter_modules(__path__) if not module.name.startswith("_")]
    modules = [import_module(f"{__name__}.{name}") for name in names]
    modules.sort(key=lambda module: not getattr(module, "FIRST", False))
    for panel in Panel:
        for module in modules:
            if getattr(module, "PANEL", None) == panel:
                for command in module.app.registered_commands:
                    command.rich_help_panel = panel
                    if command.cls in (None, TyperCommand):
                        command.cls = Command
                    yield command


app.registered_commands = list(_commands())


@app.callback()
def _all(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and exit.",
            is_eager=True,
            callback=lambda is_asked: _tell_version(is_asked),
        ),
    ] = False,
) -> None:
    pass


def _tell_version(is_asked: bool) -> None:
    if is_asked:
        console.out(f"resleak {__version__}")
        raise typer.Exit


def _end_as_after_ctrl_c(*names: str) -> None:
    """Let these signals end a run in good order, unless the shell has it ignore them (nohup)."""
    for number in (getattr(signal, name) for name in names if hasattr(signal, name)):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def main() -> int:
    """Run the command line and return its exit code; unexpected errors are raised."""
    _end_as_after_ctrl_c("SIGTERM", "SIGHUP")
    console.guard_output()
    warnings.showwarning = lambda message, *_args, **_more: console.say(str(message))
    try:
        project = settings.read()
        names = (
            one.name or getattr(one.callback, "__name__", "") for one in app.registered_commands
        )
        usual = {name: dict(project.defaults) for name in names}
        arguments = sys.argv[1:] or ["--help"]
        code = app(arguments, prog_name="resleak", standalone_mode=False, default_map=usual)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code or OK
    except console.OutputClosedError:
        return OK
    except ResleakError as error:
        console.say(str(error))
    except _UsageError as error:
        message = cast(Any, error).format_message().rstrip(".")
        name = getattr(getattr(error, "param", None), "name", "")
        is_given = any(argument.startswith(f"--{name}") for argument in sys.argv[1:])
        where = settings.read() if name and not is_given else settings.Settings()
        source = f"; it is set in {where.file}" if name in where.defaults else ""
        console.say(f"{message}{source}; `resleak COMMAND --help` says more")
    return CANNOT
