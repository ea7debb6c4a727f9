"""First steps: check the machine, write a first workload file, teach the loop."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from resleak.captures import files
from resleak.errors import MissingPackageError, PlatformError, ScenarioError, install_command
from resleak.formatting import Cell, Table
from resleak.ui.cli import common, console
from resleak.ui.cli.common import argument, command

_UI = Path(__file__).parents[1]
#: Kinds of work that there is a file for, in `resleak/ui/starters`.
Kind = StrEnum("Kind", "WEB QUEUE PIPELINE TEST")
#: Fewer open descriptors than this end many measured runs before a leak is proven.
_FEW_DESCRIPTORS = 512
#: What reports and notebooks import, and is installed with the extra `lab`.
_LAB = ("IPython", "jupyterlab", "nbconvert", "nh3", "plotly")


class Check(NamedTuple):
    """One part of the machine: the reason it works, or what is missing and how to get it."""

    name: str
    works: bool
    note: str
    serves: str
    is_needed: bool = False


@command("doctor")
def doctor(as_json: common.AsJson = False) -> None:
    """Say what works on this machine, and how to get the rest; exit code 1 if nothing can run."""
    checks = list(_checks())
    if as_json:
        console.out_json([check._asdict() for check in checks])
    else:
        marks = {True: Cell("works", tone="green"), False: Cell("missing", tone="yellow")}
        rows = [(c.name, marks[c.works], c.note, c.serves) for c in checks]
        console.out(Table(("part", "here", "what, or how to get it", "needed for"), rows))
    is_ready = all(check.works for check in checks if check.is_needed)
    raise typer.Exit(common.OK if is_ready else common.NOT_AS_DECLARED)


def _checks() -> Iterator[Check]:
    from resleak.harness.child import self_gauges
    from resleak.report import writers

    is_cpython = sys.implementation.name == "cpython"
    version = f"{platform.python_implementation()} {platform.python_version()}"
    yield Check("interpreter", is_cpython, version, "everything", is_needed=True)
    can_capture = sys.platform in ("linux", "darwin")
    note = platform.system() if can_capture else f"{platform.system()}: stored captures open"
    yield Check("system", can_capture, note, "measuring", is_needed=True)
    yield _package("psutil", "gauges", is_needed=True)
    yield _package("memray", "the line that keeps memory")
    name = self_gauges.allocator() or platform.libc_ver()[0] or "of the system"
    works = self_gauges.bytes_in_use() is not None
    note = name if works else f"{name} does not say how much it holds; start without it"
    yield Check("allocator", works, note, "heap and native memory")
    yield _attempt("attaching", _debugger, "watch --attach")
    if sys.platform != "win32":
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        is_wide = soft == resource.RLIM_INFINITY or soft >= _FEW_DESCRIPTORS
        note = f"{soft} open descriptors" + ("" if is_wide else "; raise it: ulimit -n 4096")
        yield Check("limits", is_wide, note, "long runs of a leak of descriptors")
    yield _attempt("browser", writers.working_browser, "share --to md, --to pdf")
    missing = [name for name in _LAB if find_spec(name) is None]
    note = f"lacks {', '.join(missing)}: {install_command('plotly')}" if missing else "installed"
    yield Check("reports", not missing, note, "-o, share, notebooks")
    yield _package("uv", "compare --with, bisect")
    yield _package("httpx", "record --load-url")


def _package(name: str, serves: str, is_needed: bool = False) -> Check:
    from importlib import metadata  # it loads a mail reader: only when needed

    try:
        return Check(name, True, metadata.version(name), serves, is_needed)
    except metadata.PackageNotFoundError:
        advice = install_command(name) or f"pip install {name}"
        return Check(name, False, advice, serves, is_needed)


def _attempt(name: str, find: Callable[[], str], serves: str) -> Check:
    """Return a check of a part that is named, or raises an error that says how to get it."""
    try:
        return Check(name, True, find(), serves)
    except (PlatformError, MissingPackageError) as error:
        return Check(name, False, str(error), serves)


def _debugger() -> str:
    from resleak.harness import memray_attach, process_gauges

    memray_attach.check(process_gauges.Outside.of(os.getpid()))
    return next(filter(None, map(shutil.which, memray_attach.DEBUGGERS)), "remote debugging")


@command("init")
def init(
    kind: Annotated[Kind, argument("[web|queue|pipeline|test]", "What a step is like.")] = Kind.WEB,
) -> None:
    """Write a commented workload file that runs as it is: put your code into it."""
    file = Path("test_leak.py" if kind is Kind.TEST else f"leak_{kind}.py")
    text = (_UI / "starters" / f"{kind}.py").read_text(encoding="utf-8")
    try:
        files.write(file, text, files.put_new)
    except FileExistsError:
        raise ScenarioError(f"{file} exists, and is left alone; rename it first") from None
    console.out(str(file))
    workload = f"{file}::test_it" if kind is Kind.TEST else file
    console.say(f"written; next: resleak investigate {workload}")


@command("skill")
def skill() -> None:
    """Print one page that teaches scripts and coding assistants to find and fix a leak."""
    console.out((_UI / "skill.md").read_text(encoding="utf-8").rstrip())
