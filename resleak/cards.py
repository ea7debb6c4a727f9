"""How an object shows itself at the end of a cell: small escaped tables, and the same as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_LINE = "1px solid rgba(127, 127, 127, 0.22)"
_CELL = f"padding:3px 12px 3px 0;border-bottom:{_LINE};text-align:left;vertical-align:top"
_TABLE = "border-collapse:collapse;margin:0.4em 0"


def html(title: str, head: Sequence[str], rows: Iterable[Sequence[object]], below: str = "") -> str:
    """Return a table with a title as HTML; everything in it is shown as text.

    Parameters
    ----------
    title, below : str
        What stands above and below; nothing if empty.
    head : sequence of str
        Names of the columns; empty for a table without.
    rows : iterable of sequences
        The cells, first the one that names its row.
    """
    top = "".join(f'<th style="{_CELL}">{escape(name)}</th>' for name in head)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    above = f"<p><b>{escape(title)}</b></p>" if title else ""
    note = f'<p style="font-size:0.87em;opacity:0.8">{escape(below)}</p>' if below else ""
    header = f"<thead><tr>{top}</tr></thead>" if head else ""
    return f'{above}<table style="{_TABLE}">{header}<tbody>{body}</tbody></table>{note}'


def text(title: str, rows: Iterable[Sequence[object]]) -> str:
    """Return a title and its rows as lines of text, in columns."""
    cells = [[_one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )
    return "\n".join([title, *(f"  {line}" for line in lines)])


def _cell(value: object) -> str:
    return f'<td style="{_CELL}">{escape(_one_line(value))}</td>'


def _one_line(value: object) -> str:
    return " ".join(str(value).split())
