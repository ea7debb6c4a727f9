"""First steps: check the machine, write a first workload file, teach the loop."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from resleak.errors import MissingPackageError, PlatformError, ScenarioError, install_command
from resleak.formatting import Cell, Table
from resleak.ui.cli import _common as common
from resleak.ui.cli import console
from resleak.ui.cli._common import argument, command

_UI = Path(__file__).parents[1]
#: Fewer open descriptors than this end many measured runs before a leak is proven.
_FEW_DESCRIPTORS = 512
#: What reports and notebooks import, and is installed with the extra `lab`.
_LAB = ("IPython", "jupyterlab", "nbconvert", "nh3", "plotly")


class Check(NamedTuple):
    """One part of the machine: the reason it works, or what is missing and how to get it."""

    name: str
    works: bool
    note: str
    serves: str = ""
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
    is_cpython = sys.implementation.name == "cpython"
    version = f"{platform.python_implementation()} {platform.python_version()}"
    yield Check("interpreter", is_cpython, version, "everything", is_needed=True)
    can_capture = sys.platform in ("linux", "darwin")
    note = platform.system() if can_capture else f"{platform.system()}: stored captures open"
    yield Check("system", can_capture, note, "measuring", is_needed=True)
    yield _package("psutil", "gauges", is_needed=True)
    yield _package("memray", "the line that keeps memory")
    yield _allocator()
    yield _debugger()
    if sys.platform != "win32":
        yield _limits()
    yield _browser()
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
        command = install_command(name) or f"pip install {name}"
        return Check(name, False, command, serves, is_needed)


def _allocator() -> Check:
    from resleak.harness.child import allocators

    name = allocators.name() or platform.libc_ver()[0] or "of the system"
    works = allocators.bytes_in_use() is not None
    note = name if works else f"{name} does not say how much it holds; start without it"
    return Check("allocator", works, note, "heap and native memory")


def _limits() -> Check:
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    is_wide = soft == resource.RLIM_INFINITY or soft >= _FEW_DESCRIPTORS
    note = f"{soft} open descriptors" + ("" if is_wide else "; raise it: ulimit -n 4096")
    return Check("limits", is_wide, note, "long runs of a leak of descriptors")


def _debugger() -> Check:
    from resleak.harness import memray_attach, process_gauges

    serves = "watch --attach"
    try:
        memray_attach.check(process_gauges.Outside.of(os.getpid()))
    except PlatformError as error:
        return Check("attaching", False, str(error), serves)
    tool = next(filter(None, map(shutil.which, memray_attach.DEBUGGERS)), "remote debugging")
    return Check("attaching", True, tool, serves)


def _browser() -> Check:
    from resleak.report import writers

    try:
        return Check("browser", True, writers.browser(), "share --to md, --to pdf")
    except MissingPackageError as error:
        return Check("browser", False, str(error), "share --to md, --to pdf")


class Kind(StrEnum):
    """Kinds of work that there is a file for, in `resleak/ui/starters`."""

    WEB = "web"
    QUEUE = "queue"
    PIPELINE = "pipeline"
    TEST = "test"


@command("init")
def init(
    kind: Annotated[Kind, argument("[web|queue|pipeline|test]", "What a step is like.")] = Kind.WEB,
) -> None:
    """Write a commented workload file that runs as it is: put your code into it."""
    file = Path("test_leak.py" if kind is Kind.TEST else f"leak_{kind}.py")
    text = (_UI / "starters" / f"{kind}.py").read_text(encoding="utf-8")
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise ScenarioError(f"{file} exists, and is left alone; rename it first") from None
    console.out(str(file))
    workload = f"{file}::test_it" if kind is Kind.TEST else file
    console.say(f"written; next: resleak investigate {workload}")


@command("skill")
def skill() -> None:
    """Print one page that teaches scripts and coding assistants to find and fix a leak."""
    console.out((_UI / "skill.md").read_text(encoding="utf-8").rstrip())
