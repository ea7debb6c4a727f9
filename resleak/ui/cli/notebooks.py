"""Copy the notebooks, open JupyterLab on the first of them, export one as a file."""

from __future__ import annotations

import ast
import os
import re
import sys
from enum import StrEnum
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from resleak.captures import files
from resleak.captures.names import inside, safe_name
from resleak.errors import ShareError
from resleak.ui.cli import common, console
from resleak.ui.cli.common import argument, command, flag, option
from resleak.workload import resolve

#: Where `resleak lab` lays the notebooks of a wheel: there they can be changed.
_FOLDER = Path("resleak-notebooks")
_FIRST = "00_start_here.ipynb"
#: What notebooks read, by folders of the repository.
_PARTS = ("notebooks", "data", "benchmarks")
#: Formats of a report.
Kind = StrEnum("Kind", "HTML MD PDF")


@command("notebooks")
def notebooks(folder: Annotated[Path, argument("DIR", "Where to put them.")]) -> None:
    """Copy the notebooks and the captures that they show; files that exist are kept."""
    copied = _copy(folder)
    console.say(f"{copied} files copied; open them with jupyter lab {common.shown(folder)}")
    console.out(common.shown(folder / "notebooks" / _FIRST))


def _copy(folder: Path) -> int:
    """Copy what is not there yet; return the number of files."""
    if folder.exists() and not folder.is_dir():
        raise ShareError(f"{folder} is a file; name a folder")
    sources: dict[Path, Path] = {}
    for part in _PARTS:
        for path in sorted((common.ROOT / part).rglob("*")):
            name = path.relative_to(common.ROOT)
            is_hidden = any(one.startswith((".", "__")) for one in name.parts)
            if path.is_file() and not is_hidden and not os.path.lexists(folder / name):
                sources[inside(folder, name.as_posix())] = path
    copied = 0
    for target, path in sources.items():
        try:
            files.write(target, path.read_bytes(), files.put_new)
            copied += 1
        except OSError as error:
            if not target.exists():  # else another run has copied it
                reason = f"{error.strerror or error}; free space, or choose another folder"
                raise ShareError(f"cannot write {target}: {reason}") from None
    return copied


@command("lab")
def lab() -> None:
    """Open JupyterLab on the first notebook; without a clone, on a copy in this folder."""
    if find_spec("jupyterlab") is None:
        raise ModuleNotFoundError(name="jupyterlab")
    root = common.ROOT
    if root == common.SHIPPED:
        root = _FOLDER
        console.say(f"{_copy(root)} files copied to {root}")
    trust(root / "notebooks")
    command = lab_command((root / "notebooks" / _FIRST).resolve())
    sys.stdout.flush()
    os.execv(command[0], command)


def trust(folder: Path) -> None:
    """Sign the notebooks that are as they came: without that JupyterLab shows no stored picture."""
    import nbformat
    from nbformat.sign import NotebookNotary

    notary: Any = NotebookNotary()  # type: ignore[no-untyped-call]
    for path in (common.ROOT / "notebooks").glob("*.ipynb"):
        copy = folder / path.name
        if copy.is_file() and copy.read_bytes() == path.read_bytes():
            notary.sign(nbformat.reads(copy.read_text("utf-8"), 4))  # type: ignore[no-untyped-call]
    notary.store.close()


def lab_command(notebook: Path) -> list[str]:
    """Return the command for JupyterLab on a notebook, reachable from this machine only."""
    command = [sys.executable, "-P", "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.root_dir={notebook.parent.parent}"]
    command += [f"--LabApp.default_url=/lab/tree/notebooks/{notebook.name}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # a container: there is no other user
        command += ["--allow-root"]
    return command


@command("share")
def share(
    what: Annotated[
        str, argument("NOTEBOOK|NAME|DIR", "A notebook or its number, a scenario, or captures.")
    ],
    parameter: Annotated[
        list[str] | None, option("KEY=VALUE", "Set a notebook's parameter; repeatable.", "-p")
    ] = None,
    file: Annotated[Path | None, option("FILE", "The file to write.", "-o")] = None,
    kind: Annotated[
        Kind | None,
        typer.Option("--to", help="A page; a summary with pictures for an issue; paper."),
    ] = None,
    source: Annotated[
        bool, flag("--source", "Keep the source lines that tracebacks quote.")
    ] = False,
    show: common.Open = False,
) -> None:
    """Export one self-contained file, with private data redacted."""
    from resleak.report import share as sharing

    parameters = {key: _literal(value) for key, value in common.key_values(parameter).items()}
    common.check_reports(_target(file, kind, "report"))
    for one, title in _each(what, file):
        if file is None and title:
            _refuse_foreign(_target(file, kind, title.replace("/", "-")))
        notebook, values = _notebook(one), dict(parameters)
        if notebook.suffix != ".ipynb":
            notebook = common.project("notebooks", "10_investigate.ipynb")
            title, values = _investigated(one, title, notebook.parent.parent, parameters)
        target = _target(file, kind, title.replace("/", "-") or notebook.stem)
        write = partial(sharing.share_captures, title=title) if title else sharing.share
        with console.working(f"executing {notebook.name}"):
            report = write(notebook, target, values, source=source)
        console.out(common.shown(report))
        if show:
            common.show_file(report)


def _each(what: str, file: Path | None) -> list[tuple[str, str]]:
    """Return what was given, or the folder of each scenario in a folder of captures, with names."""
    folder = Path(what)
    names = [*dict.fromkeys(one.scenario for one in common.load(folder))] if folder.is_dir() else []
    if len(names) < 2:
        return [(what, "".join(names))]
    if file is not None:
        raise ShareError(f"{what} has {len(names)} scenarios: leave out -o, or name one of them")
    root = folder if (folder / names[0]).is_dir() else folder.parent  # a folder of one system
    return [(str(root / name), name) for name in names]


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


def _refuse_foreign(target: Path) -> None:
    """Raise ShareError if a file that is not our report has the name that a capture asks for."""
    from resleak.report import page_parts

    is_ours = not target.exists()
    if target.is_file():
        with target.open("rb") as file:
            is_ours = page_parts.GENERATOR in file.read(8192)
    if not is_ours:
        raise ShareError(f"{target} exists and is not a report; name a file with -o")


def _investigated(
    what: str, name: str, root: Path, parameters: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return title and parameters of a report on a folder of named captures, or on a scenario."""
    if name:
        place = Path(what).resolve()
        return name, {"SCENARIO": place.name, "CAPTURES": str(place.parent), **parameters}
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
