"""Copy the notebooks, and open JupyterLab on the first of them."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from resleak.errors import ShareError
from resleak.ui.cli import _common as common
from resleak.ui.cli import console

PANEL = common.Panel.NOTEBOOKS
app = typer.Typer()

#: Where `resleak lab` lays the notebooks of a wheel: there they can be changed.
_FOLDER = Path("resleak-notebooks")
_FIRST = "00_start_here.ipynb"
#: What notebooks read, by folders of the repository.
_PARTS = ("notebooks", "data", "benchmarks")


@app.command()
def notebooks(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to put them.")],
) -> None:
    """Copy the notebooks and the captures that they show; files that exist are kept."""
    copied = _copy(folder)
    console.say(f"{copied} files copied; open them with jupyter lab {common.shown(folder)}")
    console.out(common.shown(folder / "notebooks" / _FIRST))


def _copy(folder: Path) -> int:
    """Copy what is not there yet; return the number of files."""
    if folder.exists() and not folder.is_dir():
        raise ShareError(f"{folder} is a file; name a folder")
    copied = 0
    for part in _PARTS:
        for path in sorted((common.ROOT / part).rglob("*")):
            target = folder / path.relative_to(common.ROOT)
            is_ours = path.is_file() and "__pycache__" not in path.parts
            if is_ours and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
                copied += 1
    return copied


@app.command()
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
    command = [sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.root_dir={notebook.parent.parent}"]
    command += [f"--LabApp.default_url=/lab/tree/notebooks/{notebook.name}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # a container: there is no other user
        command += ["--allow-root"]
    return command
