"""Execute the notebooks, and store their outputs with pictures for viewers that run no script.

    python docs/notebooks.py [NOTEBOOK …]

A figure of plotly gets an SVG beside its own format; a flame graph keeps its data and its SVG.
Each notebook has the digest of what it was made from: its cells, and the files that these read.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat

from resleak.report import html_page, share
from resleak.ui.cli import console
from resleak.workload import catalog

ROOT = Path(__file__).parent.parent
CHECKS = ROOT / "tests" / "notebook_checks"
RESULTS = ROOT / "benchmarks" / "results"
#: Files and folders that a notebook reads, by a word in its cells.
_READ = {
    **{name: f"data/captures/{name}" for name in catalog.paths()},
    "claims_table": "data/captures/register.json",
    "data/service": "data/service",
    "data/releases.zip": "data/releases.zip",
    **{f"results/{p.name}": f"benchmarks/results/{p.name}" for p in RESULTS.iterdir()},
}
#: Of plotly's own format, and of a picture.
_PLOTLY, _SVG = "application/vnd.plotly.v1+json", "image/svg+xml"
_WIDTH = 900
#: Characters of the text of a table.
_LONG = 4000


def main() -> None:
    """Execute and store the notebooks that are given, or all."""
    given = [Path(name).resolve() for name in sys.argv[1:]]
    for path in given or sorted((ROOT / "notebooks").glob("*.ipynb")):
        store(path)
        console.say(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def store(path: Path) -> None:
    """Execute one notebook with its checks, and write it with outputs and digest."""
    book = share.read(path)
    execute(book, path)
    for number, cell in enumerate(cell for cell in book.cells if cell.cell_type == "code"):
        cell.execution_count = number + 1
        cell.metadata.pop("execution", None)
        for output in cell.outputs:
            output.pop("execution_count", None)
            if output.output_type == "execute_result":
                output.execution_count = number + 1
            if "data" in output:
                _reduce(output.data)
                output.metadata = {}
    for number, cell in enumerate(book.cells):
        cell.id = f"cell-{number}"
    book.metadata["resleak"] = {"digest": digest(book)}
    nbformat.write(book, path)


def execute(book: Any, path: Path) -> None:
    """Execute a notebook, except what needs a person, and then its checks."""
    check = nbformat.v4.new_code_cell((CHECKS / f"{path.stem}.py").read_text(encoding="utf-8"))
    whole, all_cells = nbformat.from_dict(book), book.cells
    whole.cells = [cell for cell in all_cells if not _is_panel(cell)]
    whole.cells.append(check)
    share.run(whole, path.parent, timeout_s=600)


def _is_panel(cell: Any) -> bool:
    return "lab" in cell.metadata.get("tags", []) and "resleak.ui.panel" in cell.source


def digest(book: Any) -> str:
    """Return the digest of the cells of a notebook, and of the files that they read."""
    code = "\n".join(cell.source for cell in book.cells if cell.cell_type == "code")
    found = hashlib.sha256("\n".join(cell.source for cell in book.cells).encode())
    for path in sorted({path for word in _READ if word in code for path in _files(_READ[word])}):
        found.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return found.hexdigest()


def _files(name: str) -> Iterator[Path]:
    top = ROOT / name
    yield from (p for p in top.rglob("*") if p.is_file()) if top.is_dir() else [top]


def _reduce(data: Any) -> None:
    """Add a picture of a figure; leave out the HTML of a flame graph, which repeats its data."""
    if "text/html" in data and len(data.get("text/plain", "")) > _LONG:
        data["text/plain"] = f"{data['text/plain'][:_LONG]} …"  # a wide table, which HTML has whole
    if html_page.FLAME in data:
        data.pop("text/html", None)
    if _PLOTLY in data:
        import plotly.graph_objects as go

        figure = go.Figure({key: data[_PLOTLY][key] for key in ("data", "layout")})
        data.pop("text/html", None)
        data[_SVG] = figure.to_image(format="svg", width=_WIDTH).decode()
        data["text/plain"] = html_page.label(data)


if __name__ == "__main__":
    os.environ.setdefault("BROWSER_PATH", shutil.which("chromium") or "")
    main()
