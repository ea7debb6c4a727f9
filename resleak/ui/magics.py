"""``%%resleak``: investigate a notebook's cell, in fresh processes or in the kernel."""

from __future__ import annotations

import argparse
import ast
import inspect
import shlex
import types
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

from IPython.core.interactiveshell import InteractiveShell

from resleak.captures.locks import folder_until_exit
from resleak.captures.names import safe_name
from resleak.errors import CaptureError, ResleakError, ScenarioError
from resleak.experiments.in_process import CAUTIONS, Measured, measure
from resleak.experiments.investigate import investigate
from resleak.experiments.investigation import Investigation
from resleak.harness.plan import CaptureOptions
from resleak.workload import calling
from resleak.workload.resolve import Workload

#: A whole cell as the step: it runs in one namespace again and again, its lines are the cell's.
_WHOLE = """\
import ast

_code = compile({source!r}, __file__, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def step(_number):
    return eval(_code, globals())
"""
_STEPS = 240


def register(shell: InteractiveShell) -> None:
    """Add the magics to a shell, for ``%load_ext resleak``."""
    # Captures are read when their figures are asked for, as long as the kernel runs.
    folder = folder_until_exit()
    places = (folder / str(number) for number in count())
    magic = partial(_resleak, shell, places)
    magic.__doc__ = _resleak.__doc__
    add: Any = shell.register_magic_function
    add(magic, "cell", "resleak")


class _Options(argparse.ArgumentParser):
    def __init__(self) -> None:
        super().__init__(prog="%%resleak", add_help=False)
        self.color = False  # Python 3.14 would colour the usage, which is part of an error here
        self.add_argument("--steps", type=int)
        self.add_argument("--runs", type=int)
        self.add_argument("--here", action="store_true")
        self.add_argument("--name", default="cell")
        self.add_argument("--out", type=Path)

    def error(self, message: str) -> NoReturn:
        raise ScenarioError(f"{message}; {' '.join(self.format_usage().split())}")

    def read(self, line: str) -> argparse.Namespace:
        try:
            options = self.parse_args(shlex.split(line))
            safe_name(options.name)
            return options
        except ValueError as error:
            self.error(str(error))


def _resleak(
    shell: Any, places: Iterator[Path], line: str, cell: str
) -> Investigation | Measured | None:
    """Find out whether a cell leaks: ``%%resleak [--steps N] [--runs R] [--here] [--out DIR]``.

    It is repeated in fresh processes and judged. If it defines ``step(i)``, that is the step, with
    ``setup`` and ``teardown`` if there are any; else the whole cell is. A fresh process knows
    nothing of the notebook's variables; with ``--here`` the cell is repeated in this kernel.
    """
    try:
        options = _Options().read(line)
        if options.here:
            return _here(shell, options, cell)
        return _fresh(options, cell, next(places))
    except ResleakError as error:
        hint = ""
        if isinstance(error, CaptureError) and "NameError" in str(error):
            hint = "; a fresh process has none of the notebook's variables: define it in the cell, "
            hint += "or measure with --here"
        print(f"resleak: {error}{hint}")
        return None


def _fresh(options: argparse.Namespace, cell: str, place: Path) -> Investigation:
    _compiled(cell)
    place.mkdir()
    file = place / f"{options.name}.py"
    file.write_text(cell if _step_in(cell) else _WHOLE.format(source=cell), "utf-8")
    work = Workload("file", str(file), options.name, file, place, (place, Path.cwd()))
    out = options.out or place / "captures"
    how = CaptureOptions(steps=options.steps, runs=options.runs, out=out)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        investigation = investigate(work, how)
    for warning in caught:
        print(f"resleak: {warning.message}")
    return investigation


def _here(shell: Any, options: argparse.Namespace, cell: str) -> Measured:
    print("\n".join((*CAUTIONS, "what the cell leaves behind stays in this kernel")))
    step = _step(shell, cell)
    with measure(options.name) as measured:
        for number in measured.steps(options.steps or _STEPS):
            step(number)
    if options.out:
        measured.save(options.out)
    return measured


def _step(shell: Any, cell: str) -> Callable[[int], Any]:
    names: dict[str, Any] = shell.user_ns
    source = shell.transform_cell(cell)
    code, step = _compiled(source), _step_in(source)
    if code.co_flags & inspect.CO_COROUTINE or isinstance(step, ast.AsyncFunctionDef):
        raise ScenarioError("the kernel's loop runs already: measure an async cell without --here")
    if step is None:
        return lambda _number: exec(code, names)
    if "setup" in _functions(source):
        raise ScenarioError("--here runs no setup: call it in another cell, or leave --here out")
    exec(code, names)
    function: Callable[[int], Any] = calling.fitted(names["step"], 1)
    return function


def _compiled(cell: str) -> types.CodeType:
    try:
        code: types.CodeType = compile(cell, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError as error:
        raise ScenarioError(
            f"line {error.lineno} of the cell is no Python ({error.msg}); a fresh process knows "
            "neither magics nor shell commands"
        ) from None
    return code


def _step_in(cell: str) -> ast.stmt | None:
    """Return the definition of ``step`` in a cell."""
    return _functions(cell).get("step")


def _functions(cell: str) -> dict[str, ast.stmt]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {one.name: one for one in ast.parse(cell).body if isinstance(one, functions)}
