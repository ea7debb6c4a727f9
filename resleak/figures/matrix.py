"""The matrix of a sweep: scenarios down, versions across, coloured by verdict."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from html import escape
from typing import Any, Protocol

from resleak import formatting
from resleak.figures.html_table import Table, markup, table, verdict_table
from resleak.formatting import LEFT, Cell, note
from resleak.workload.verdict_words import (
    BROKEN,
    CLEAN,
    DEFERRED,
    GLYPHS,
    HANGS,
    LEAK,
    SCALES,
    UNDECIDED,
)

#: Fill of a cell; the word stands in it, so that colour alone says nothing.
_FILLS = {
    LEAK: "rgba(213, 94, 0, 0.45)",
    **dict.fromkeys((HANGS, BROKEN, SCALES, "failed"), "rgba(213, 94, 0, 0.28)"),
    DEFERRED: "rgba(230, 159, 0, 0.3)",
    UNDECIDED: "rgba(204, 121, 167, 0.25)",
    **dict.fromkeys(CLEAN, "rgba(0, 158, 115, 0.22)"),
}
_OTHER = "rgba(127, 127, 127, 0.1)"


class JudgedCell(Protocol):
    """What the matrix shows of a cell of `resleak.experiments.sweep`."""

    scenario: str
    variant: str
    label: str
    params: str
    seed: int
    verdict: str
    sentence: str
    runs: int
    planned: int
    gauges: Any


def sweep_matrix(result: Any, *, link: str = "") -> Table:
    """Show the verdict on each cell of a sweep.

    Parameters
    ----------
    result : SweepResult
        Of ``resleak sweep``, or of `resleak.experiments.sweep.sweep.status`.
    link : str
        Page to which each cell links; ``#`` for the page that it is on; without it, none does.
    """
    if not result.cells:
        return Table(note("This sweep has no cells."), result.cells.frame)
    labels, rows = _grid(result.cells)
    body = [
        [Cell(name), *(_cell(cells.get(label), link) for label in labels)]
        for name, cells in rows.items()
    ]
    frame = result.cells.frame.drop(columns=["gauges"])
    return Table(table(["", *labels], body) + note(result.sentence), frame)


def sweep_text(cells: Iterable[JudgedCell]) -> formatting.Table:
    """Return the matrix as text."""
    labels, rows = _grid(cells)
    return formatting.Table(
        ("", *labels),
        [
            (name, *(_word(one) if (one := row.get(label)) else "" for label in labels))
            for name, row in rows.items()
        ],
    )


def anchor(cell: JudgedCell) -> str:
    """Return the name of a cell's part of a page."""
    text = repr((cell.scenario, cell.variant, cell.label, cell.params, cell.seed))
    return f"cell-{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:12]}"


def sweep_cell(cell: JudgedCell) -> str:
    """Return the part of a page on one cell as HTML: verdict, evidence, and how many runs."""
    name = " ".join(filter(None, (_row(cell, seeds=True), cell.label)))
    parts = [f"<h3>{escape(name)}: {escape(cell.verdict)}</h3>"]
    parts += [f"<p>{escape(cell.sentence)}</p>"] if cell.sentence else []
    parts += [verdict_table(cell.gauges).html] if cell.gauges else []
    runs = note(f"{cell.runs} of {cell.planned} planned runs are stored.")
    return f'<section id="{anchor(cell)}">{"".join(parts)}{runs}</section>'


def _grid(cells: Iterable[JudgedCell]) -> tuple[list[str], dict[str, dict[str, JudgedCell]]]:
    cells = list(cells)
    has_seeds = len({one.seed for one in cells}) > 1
    labels = list(dict.fromkeys(one.label for one in cells))
    rows: dict[str, dict[str, JudgedCell]] = {}
    for one in cells:
        rows.setdefault(_row(one, seeds=has_seeds), {})[one.label] = one
    return labels, rows


def _row(cell: JudgedCell, *, seeds: bool) -> str:
    seed = f"seed {cell.seed}" if seeds and cell.seed else ""
    variant = "" if cell.variant == "workload" else cell.variant
    return " ".join(filter(None, (cell.scenario, variant, cell.params, seed)))


def _word(cell: JudgedCell) -> str:
    partly = f" ({cell.runs}/{cell.planned})" if cell.runs < cell.planned else ""
    return f"{GLYPHS.get(cell.verdict, '')} {cell.verdict}{partly}".strip()


def _cell(cell: JudgedCell | None, link: str) -> Cell:
    if cell is None:
        return Cell("")
    word, title = escape(_word(cell)), escape(cell.sentence, quote=True)
    if link:
        address = "#" + anchor(cell) if link == "#" else f"{link}#{anchor(cell)}"
        word = f'<a href="{escape(address, quote=True)}">{word}</a>'
    fill = _FILLS.get(cell.verdict, _OTHER)
    return markup(f'<span title="{title}">{word}</span>', f"{LEFT}background:{fill};")
