"""The command line: each command calls one public function and prints what it returns.

What a person or a program asked for goes to standard output; progress and messages go to
standard error. Heavy imports stand inside the commands, so that ``--help`` is quick.
"""

from __future__ import annotations

import re
import sys
import warnings
from importlib import import_module
from pkgutil import iter_modules
from typing import Annotated, Any, cast

import typer

from resleak import __version__
from resleak.errors import ResleakError
from resleak.ui.cli import console
from resleak.ui.cli.common import CANNOT, OK, Settings, app, flag, settings

# typer has no public name for what the parser raises, only for this one child of it.
_UsageError = cast(type[Exception], typer.BadParameter.__base__)
#: Words of the library that checks values, and plain ones.
_PLAIN_WORDS = {
    r"Input should be a valid integer, .*": "it must be a whole number",
    r"Input should be a valid number, .*": "it must be a number",
    r"Input should be greater than or equal to": "it must be at least",
    r"Input should be less than or equal to": "it must be at most",
    r"Value error, ": "",
}
#: Headings of the help with their commands; one that is missing here cannot be called.
_PANELS = {
    "Your own code": ("investigate", "bisect", "doctor", "record", "init", "skill", "watch"),
    "Scenarios": ("list", "capture", "claims"),
    "Verdicts": ("judge", "compare", "sweep", "query"),
    "Stacks": ("open", "export"),
    "Notebooks and reports": ("notebooks", "lab", "share"),
}

for _module in iter_modules(__path__):
    if not _module.name.startswith("_"):
        import_module(f"{__name__}.{_module.name}")
_commands = {one.name: one for one in app.registered_commands}
for _panel, _names in _PANELS.items():
    for _name in _names:
        _commands[_name].rich_help_panel = _panel
app.registered_commands = [_commands[name] for names in _PANELS.values() for name in names]


def _tell_version(is_asked: bool) -> None:
    if is_asked:
        console.out(f"resleak {__version__}")
        raise typer.Exit


@app.callback()
def _all(
    version: Annotated[
        bool,
        flag("--version", "Print the version and exit.", is_eager=True, callback=_tell_version),
    ] = False,
) -> None:
    pass


def main() -> int:
    """Run the command line and return its exit code; unexpected errors are raised."""
    console.guard_output()
    warnings.showwarning = lambda message, *_args, **_more: console.say(str(message))
    try:
        project = settings()
        usual = {name: dict(project.defaults) for name in _commands}
        arguments = sys.argv[1:] or ["--help"]
        code = app(arguments, prog_name="resleak", standalone_mode=False, default_map=usual)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code or OK
    except console.OutputClosedError:
        return OK
    except ResleakError as error:
        console.say(str(error))
    except typer.Abort as error:
        # Its cause is an EOFError of a command, such as of a truncated file of byte code; it has
        # none after Ctrl-C or Ctrl-D at a prompt.
        raise (error.__cause__ or KeyboardInterrupt) from None
    except _UsageError as error:
        console.say(_message(error, project))
    return CANNOT


def _message(error: Any, project: Settings) -> str:
    """Return what is wrong with the arguments, where it is set, and whose help says more."""
    message = error.format_message().rstrip(".")
    for pattern, words in _PLAIN_WORDS.items():
        message = re.sub(pattern, words, message)
    hint = getattr(error, "param_hint", None)
    name = getattr(getattr(error, "param", None), "name", None) or str(hint or "").strip("'-")
    is_given = any(argument.startswith(f"--{name}") for argument in sys.argv[1:])
    is_usual = name in project.defaults and not is_given
    source = f"; it is set in {project.file}" if is_usual else ""
    called = [one for one in sys.argv[1:2] if one in _commands]
    return f"{message}{source}; `{' '.join(['resleak', *called, '--help'])}` says more"
