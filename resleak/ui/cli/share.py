"""Export a notebook as one file."""

from __future__ import annotations

import ast
import re
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from resleak.captures.names import safe_name
from resleak.errors import ShareError
from resleak.ui.cli import _common as common
from resleak.ui.cli import console
from resleak.workload import resolve

PANEL = common.Panel.NOTEBOOKS
app = typer.Typer()


class Kind(StrEnum):
    """Formats of a report."""

    HTML = "html"
    MARKDOWN = "md"
    PAPER = "pdf"


@app.command()
def share(
    what: Annotated[
        str,
        typer.Argument(
            metavar="NOTEBOOK|NAME|DIR", help="A notebook or its number, a scenario, or captures."
        ),
    ],
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", metavar="KEY=VALUE", help="Set a notebook's parameter; repeatable."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("-o", metavar="FILE", help="The file to write.")
    ] = None,
    kind: Annotated[
        Kind | None,
        typer.Option("--to", help="A page; a summary with pictures for an issue; paper."),
    ] = None,
    source: Annotated[
        bool, typer.Option("--source", help="Keep the source lines that tracebacks quote.")
    ] = False,
    show: common.Open = False,
) -> None:
    """Export one self-contained file, with private data redacted."""
    from resleak.report import share as sharing

    parameters = {key: _literal(value) for key, value in common.key_values(parameter).items()}
    common.check_reports()
    for one in _each(what, file):
        notebook, title, values = _notebook(one), "", dict(parameters)
        if notebook.suffix != ".ipynb":
            notebook = common.project("notebooks", "10_investigate.ipynb")
            title, values = _investigated(one, notebook.parent.parent, parameters)
        target = _target(file, kind, title.replace("/", "-") or notebook.stem)
        write = partial(sharing.share_captures, title=title) if title else sharing.share
        with console.working(f"executing {notebook.name}"):
            report = write(notebook, target, values, source=source)
        console.out(common.shown(report))
        if show:
            common.show_file(report)


def _each(what: str, file: Path | None) -> list[str]:
    """Return the folders of the scenarios in a folder of captures, or what was given."""
    folder = Path(what)
    if not folder.is_dir():
        return [what]
    names = dict.fromkeys(capture.scenario for capture in common.load(folder))
    if len(names) < 2:
        return [what]
    if file is not None:
        raise ShareError(f"{what} has {len(names)} scenarios: leave out -o, or name one of them")
    return [str(folder / name) for name in names]


def _notebook(what: str) -> Path:
    """Return the path that was given, or of our notebook with this number or name."""
    is_other = Path(what).is_file() and Path(what).suffix not in (".ipynb", ".py")
    if is_other:
        raise ShareError(f"{what} is not a notebook, a Python file or a folder of captures")
    if not Path(what).exists() and re.fullmatch(r"\w+", what):
        found = sorted((common.ROOT / "notebooks").glob(f"{what}*.ipynb"))
        if len(found) == 1 and what[:2].isdecimal():
            return found[0]
    return Path(what)


def _target(file: Path | None, kind: Kind | None, name: str) -> Path:
    if file is None:
        return Path(safe_name(f"{name}.{kind or Kind.HTML}"))
    if kind is None:
        return file if file.suffix else file.with_suffix(".html")
    if file.suffix and file.suffix != f".{kind}":
        raise ShareError(f"--to {kind} and -o {file.name} disagree; leave one of them out")
    return file.with_suffix(f".{kind}")


def _investigated(what: str, root: Path, parameters: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the title and the parameters of a report on captures or a scenario."""
    folder = Path(what)
    if folder.is_dir() and (captures := common.load(folder)):
        names = list(dict.fromkeys(capture.scenario for capture in captures))
        if len(names) > 1:
            raise ShareError(f"{what} has {', '.join(names)}: name the folder of one of them")
        place = folder.resolve()
        return names[0], {"SCENARIO": place.name, "CAPTURES": str(place.parent), **parameters}
    name = resolve.find(what).name
    if "CAPTURES" not in parameters:
        here, ours = Path("captures"), root / "data" / "captures"
        stored = next((folder for folder in (here, ours) if common.is_stored(name, folder)), None)
        if stored is None:
            common.capture_first(what, here)
        parameters["CAPTURES"] = str((stored or here).resolve())
    return name, {"SCENARIO": name, **parameters}


def _literal(text: str) -> Any:
    """Return a parameter as a Python literal, or else as text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
