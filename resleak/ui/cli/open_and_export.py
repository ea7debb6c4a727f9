"""Open captures of other programs, and write stacks for other viewers."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from resleak.errors import ShareError, StoreError
from resleak.ui.cli import common, console
from resleak.ui.cli.common import Command, argument, command, flag, option

if TYPE_CHECKING:
    from resleak.analysis.stacks.allocation_sites import Tables


@command("open")
def open_file(
    what: Annotated[Path, argument("FILE", "A file that memray wrote.")],
    file: Annotated[Path | None, option("OUT", "Write an HTML report, too.", "-o")] = None,
    as_json: common.AsJson = False,
    top: Annotated[int, option("N", "How many lines to show.", min=1)] = 10,
    fresh: Annotated[bool, flag("--fresh", "Read it again, whatever is kept.")] = False,
    show: common.Open = False,
    older: Annotated[
        str | None,
        option("REQUIREMENT", "The older memray that wrote it: memray==1.18.*", "--with"),
    ] = None,
) -> None:
    """Open a memray file of any program: what grew, where, and its limitations."""
    from resleak.analysis import memray_file
    from resleak.report import ANSWERS

    if show and file is None:
        file = Path(f"{what.name}.html")
    if file is not None:
        common.check_file(file, what)
    if os.path.isdir(what):  # also for names that no file can have
        raise StoreError(f"{what} is a folder; name a file that memray wrote")
    if older and not what.is_file() and not Path(f"{what}.resleak").is_dir():
        raise StoreError(f"{what} is missing; name a file that memray wrote")
    # What prints, and writes the report, is loaded while another process reads.
    threading.Thread(target=_load, args=(file is not None,)).start()
    packages = _packages(older) if older else None
    with console.working(f"reading {what.name}"):
        recording = memray_file.open_memray(what, fresh=fresh, answers=ANSWERS, packages=packages)
    try:
        if as_json:
            console.out_json(recording.to_dict(top))
        else:
            console.show_recording(recording, top)
    finally:  # also where nobody reads the answer to its end
        if file is not None:
            from resleak.report import plain_pages

            common.written(plain_pages.write_recording(recording, file), show)


def _load(with_report: bool) -> None:
    importlib.import_module("rich.table")
    if with_report:
        from resleak.report import plain_pages, redact  # noqa: F401

        redact.token_rules()


def _packages(requirement: str) -> Path:
    """Return the folder of packages of an environment with another memray; make it if needed."""
    from resleak.experiments import environments

    if environments.check(requirement).name != "memray":
        raise StoreError(f"--with takes a memray, such as memray==1.18.*, not {requirement!r}")
    with console.working(f"installing {requirement}"):
        python = environments.make([requirement])
    return next(python.parents[1].glob("lib/python*/site-packages"))


class _Export(Command):
    """Names the formats in its help; their modules are loaded only for that."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        from resleak.analysis.stacks import export as stacks
        from resleak.captures import export as gauges

        text = f"Of stacks: {', '.join(stacks.FORMATS)}; of gauges: {', '.join(gauges.FORMATS)}."
        next(cast(Any, one) for one in self.params if one.name == "kind").help = text
        super().format_help(ctx, formatter)


@command("export", cls=_Export)
def export(
    what: Annotated[str, argument("DIR|FILE", "Captures of one variant, or a capture file.")],
    kind: Annotated[str, typer.Option("--format", metavar="FORMAT")] = "speedscope",
    file: Annotated[Path | None, option("FILE", "Where to write.", "-o")] = None,
) -> None:
    """Export growing stacks for another viewer, or gauges for another tool."""
    from resleak.analysis import stacks
    from resleak.analysis.stacks import export as exports
    from resleak.captures import export as gauges

    if file is not None:
        common.check_file(file, Path(what))
    if kind in gauges.FORMATS:
        captures = common.load(what)
        name = captures[0].scenario.replace("/", "-")
        console.out(common.shown(gauges.write(captures, kind, file, name)))
        return
    if kind not in exports.FORMATS:
        names = ", ".join([*exports.FORMATS, *gauges.FORMATS])
        raise ShareError(f"there is no format {kind!r}; choose {names}")
    tables, name = _to_export(what)
    profile = stacks.profile(tables)
    if not profile.captures:
        raise StoreError(f"{what} has no stacks of two steady marks: capture it with memray")
    console.out(common.shown(exports.write(profile, kind, file, name)))


def _to_export(what: str) -> tuple[Sequence[Tables], str]:
    """Return the captures of one variant, or a memray file, with a name."""
    from resleak.captures import load

    if Path(what).is_file() and Path(what).suffix not in load.ARCHIVES:
        from resleak.analysis import memray_file

        return [memray_file.open_memray(what)], Path(what).stem
    captures = common.load(what)
    names = list(dict.fromkeys(f"{c.scenario} {c.variant}" for c in captures))
    if len(names) > 1:
        raise StoreError(f"{what} has {', '.join(names)}: name the folder of one of them")
    return captures, names[0].replace("/", "-").replace(" ", "-")
