"""The matrix of a sweep: workloads down, versions across, coloured by verdict."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from html import escape
from typing import Any

from resleak import formatting
from resleak.figures.html_table import Table, below, verdict_table
from resleak.figures.style import with_glyph, word_style
from resleak.formatting import LEFT, Cell, note


def sweep_matrix(result: Any, *, link: str = "") -> Table:
    """Show the verdict on each cell of a sweep.

    Parameters
    ----------
    result : SweepResult
        Of `resleak.experiments.sweep.sweep`: its `status` reads one from a store.
    link : str
        Page to which each cell links; ``#`` for the page that it is on; without it, none does.
    """
    frame = result.cells.frame.drop(columns=["gauges"])
    return Table(sweep_text(result.cells, link).html() + note(result.sentence), frame)


def sweep_text(cells: Iterable[Any], link: str = "") -> formatting.Table:
    """Return the matrix as a table for a terminal, or with links for a page."""
    labels, rows = _grid(cells)
    body = [(name, *(_cell(one, link, labels) for one in row)) for name, row in rows.items()]
    return formatting.Table(("", *labels) if labels else (), body)


def sweep_cell(cell: Any) -> str:
    """Return the part of a page on one cell as HTML: verdict, evidence, and how many runs."""
    parts = [f"<h3>{escape(_row(cell))}, {escape(cell.label)}: {escape(cell.verdict)}</h3>"]
    parts += [f"<p>{escape(cell.sentence)}</p>"] if cell.sentence else []
    parts += [verdict_table(cell.gauges).html] if cell.gauges else []
    runs = note(f"{cell.runs} of {cell.planned} planned runs are stored.")
    return f'<section id="{_anchor(cell)}">{"".join(parts)}{runs}</section>'


def _grid(cells: Iterable[Any]) -> tuple[list[str], dict[str, list[Any]]]:
    """Return the labels of the columns, and the cells by row."""
    rows: dict[str, dict[str, Any]] = {}
    for one in cells:
        rows.setdefault(_row(one), {})[one.label] = one
    labels = list(dict.fromkeys(label for row in rows.values() for label in row))
    if sum(map(len, rows.values())) > len(labels) or len(rows) == 1:
        return labels, {name: [row.get(one) for one in labels] for name, row in rows.items()}
    # Rows with labels of their own, as each package has its releases, have no common columns.
    width = max(map(len, rows.values()), default=0)
    return [], {name: [*row.values(), *[None] * (width - len(row))] for name, row in rows.items()}


def _row(cell: Any) -> str:
    variant = "" if cell.variant == "workload" else cell.variant
    seed = f"seed {cell.seed}" if cell.seed else ""
    return " ".join(filter(None, (cell.scenario, variant, cell.params, seed)))


def _cell(cell: Any, link: str, labels: list[str]) -> Cell:
    if cell is None:
        return Cell("")
    partly = f" ({cell.runs}/{cell.planned})" if cell.runs < cell.planned else ""
    text = with_glyph(cell.verdict) + partly
    word, title = escape(text), escape(cell.sentence, quote=True)
    if link:
        address = f"{link.removesuffix('#')}#{_anchor(cell)}"
        word = f'<a href="{escape(address, quote=True)}">{word}</a>'
    html = f'<span title="{title}">{word}</span>{"" if labels else below(cell.label)}'
    style = f"{LEFT}background:{word_style(cell.verdict).fill};"
    return Cell(text if labels else f"{cell.label}: {text}", html, style)


def _anchor(cell: Any) -> str:
    text = repr((cell.scenario, cell.variant, cell.label, cell.params, cell.seed))
    return f"cell-{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:12]}"
