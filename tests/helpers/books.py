"""Notebooks made for a test, as a person might have written them, or somebody worse."""

from __future__ import annotations

from pathlib import Path

import nbformat

PARAMETERS = {"tags": ["parameters"]}


def write(path: Path, *cells: str | tuple[str, dict[str, list[str]]]) -> Path:
    """Write a notebook; a cell that begins with ``#`` and a space is markdown."""
    made = []
    for cell in cells:
        source, metadata = cell if isinstance(cell, tuple) else (cell, {})
        kind = nbformat.v4.new_markdown_cell
        if not source.startswith("# "):
            kind = nbformat.v4.new_code_cell
        made.append(kind(source, metadata=metadata))
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    book = nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": kernel})
    nbformat.write(book, path)
    return path
