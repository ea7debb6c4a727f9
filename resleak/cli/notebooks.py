"""Share a notebook as one file, and open JupyterLab."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from resleak import console
from resleak.cli._common import (
    Panel,
    capture_first,
    find_notebook,
    is_stored,
    key_values,
    locate,
    shown,
)

PANEL = Panel.NOTEBOOKS
app = typer.Typer()


@app.command()
def share(
    what: Annotated[
        str, typer.Argument(metavar="NOTEBOOK|NAME", help="A notebook, or a scenario.")
    ],
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", metavar="KEY=VALUE", help="Set a notebook's parameter; repeatable."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("-o", metavar="FILE", help="The HTML file to write.")
    ] = None,
) -> None:
    """Execute a notebook and write it as one HTML file that opens offline."""
    from resleak import share as sharing

    parameters = {key: _literal(value) for key, value in key_values(parameter).items()}
    notebook, name = Path(what), Path(what).stem
    if notebook.suffix != ".ipynb":
        notebook, scenario = find_notebook("10_investigate.ipynb"), locate(what).name
        name = scenario.replace("/", "-")
        if "CAPTURES" not in parameters:
            parameters["CAPTURES"] = _where_captured(what, notebook.parent.parent)
        parameters = {"SCENARIO": scenario, **parameters}
    with console.working(f"executing {notebook.name}"):
        written = sharing.share(notebook, file or Path(f"{name}.html"), parameters)
    console.out(shown(written))


@app.command()
def lab() -> None:
    """Open JupyterLab on the first notebook."""
    notebook = find_notebook("00_start_here.ipynb").resolve()
    command = [sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.root_dir={notebook.parent.parent}"]
    command += [f"--LabApp.default_url=/lab/tree/notebooks/{notebook.name}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # a container: there is no other user
        command += ["--allow-root"]
    sys.stdout.flush()
    os.execv(command[0], command)


def _where_captured(what: str, project: Path) -> str:
    """Return the folder that holds captures of a scenario: here, the repository's, or new ones."""
    here, kept = Path("captures"), project / "data" / "captures"
    name = locate(what).name
    found = next((folder for folder in (here, kept) if is_stored(name, folder)), None)
    if found is None:
        capture_first(what, here)
    return str((found or here).resolve())


def _literal(text: str) -> Any:
    """Read a notebook's parameter as a Python literal, and as text if it is none."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
