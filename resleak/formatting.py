"""Format numbers, durations and small tables, the same way everywhere."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Sequence
from html import escape

_LINE = "1px solid rgba(127, 127, 127, 0.22)"
_CELL = f"padding:3px 12px 3px 0;border-bottom:{_LINE};text-align:left;vertical-align:top"
_TABLE = "border-collapse:collapse;margin:0.4em 0"
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([smhd]?)", re.ASCII)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_S = 10 * 365 * 86400.0
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB")
#: From so many seconds on a span is told in a unit of so many seconds.
_SPANS = (
    (365 * 86400, 365.25 * 86400, "years"),
    (2 * 86400, 86400, "days"),
    (3600, 3600, "h"),
    (60, 60, "min"),
)

#: Control characters other than newline and tab, and those that reorder or hide text.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029"
    "\u202a-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]"
)
#: Characters that begin a formula in a spreadsheet.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
#: What begins HTML, a table cell, a link's address or an entity in Markdown.
_MARKUP = re.compile(r"([\\<|]|(?<=\])\(|&(?=#?\w+;))")


def plain_text(text: str) -> str:
    """Return text in which control and bidirectional characters are shown as ``⟨U+202E⟩``."""
    return _UNSAFE.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", text)


def json_text(text: str) -> str:
    """Return JSON with the same characters escaped."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def csv_text(text: str) -> str:
    """Return a text cell that no spreadsheet takes for a formula."""
    plain = plain_text(text)
    return f"'{plain}" if plain.startswith(_FORMULA) else plain


def markdown_text(text: str, *, cell: bool = False) -> str:
    """Return one line of Markdown without HTML and links, for a table's `cell` or elsewhere."""
    parts = " ".join(plain_text(text).split()).split("`")
    if len(parts) % 2 == 0:  # an unpaired backtick is no code span
        parts = ["\\`".join(_MARKUP.sub(r"\\\1", part) for part in parts)]
    else:
        parts[::2] = [_MARKUP.sub(r"\\\1", part) for part in parts[::2]]
        if cell:  # elsewhere a code span shows its backslashes
            parts[1::2] = [part.replace("|", "\\|") for part in parts[1::2]]
    return "`".join(parts)


def command(*words: object) -> str:
    """Return a shell command to paste, with each word quoted where it needs to be."""
    return plain_text(shlex.join(map(str, words)))


def amount(value: float, unit: str = "") -> str:
    """Write a number with its unit, with three significant digits.

    Parameters
    ----------
    value : float
        The number; NaN is written as an en dash.
    unit : str
        ``B`` is scaled to KiB, MiB and so on, also in ``B/h``; any other unit is appended.

    Returns
    -------
    str

    Examples
    --------
    >>> amount(3_145_728, "B")
    '3 MiB'
    >>> amount(1.0, "descriptors")
    '1 descriptors'
    """
    if value is None or math.isnan(value):
        return "–"
    if unit == "B":
        return _bytes(value)
    if unit.startswith("B/"):
        return _bytes(value) + unit[1:]
    return f"{number(value)} {unit}".rstrip()


def rate(value: float, unit: str = "", per: str = "step") -> str:
    """Write a rate, such as ``412 B/step``.

    Parameters
    ----------
    value : float
        Units per step.
    unit, per : str
        The unit, and what it is counted by.

    Returns
    -------
    str
    """
    return f"{amount(value, unit)}/{per}" if not math.isnan(value) else "–"


def interval(low: float, high: float) -> str:
    """Write an interval as ``[low, high]``; NaN bounds are written as en dashes."""
    return f"[{number(low)}, {number(high)}]"


def number(value: float) -> str:
    """Write a bare number with three significant digits and thousands separated by a thin space."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if abs(value) >= 999.5:
        return f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}").replace("-", "−")
    return f"{value:.3g}".replace("-", "−") if abs(value) >= 5e-4 else "0"


def duration(seconds: float) -> str:
    """Write a span of time in the unit that people would use, such as ``2.5 h``; ∞ as never.

    Examples
    --------
    >>> duration(90)
    '1.5 min'
    """
    if math.isinf(seconds):
        return "never"
    for least, size, name in _SPANS:
        if seconds >= least:
            return f"{number(seconds / size)} {name}"
    return f"{number(seconds)} s"


def seconds(text: str) -> float:
    """Return the seconds of a duration such as ``90``, ``15m`` or ``2h``, or raise ValueError."""
    match = _DURATION.fullmatch(text.strip())
    value = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if not 0 < value <= _LONGEST_S:
        raise ValueError(text)
    return value


def several(per: str) -> str:
    """Return what a rate is counted by in the plural: ``steps``, ``seconds``, ``requests``."""
    return "seconds" if per == "s" else f"{per}s"


def share(value: float) -> str:
    """Write a fraction as a percentage."""
    if 0 < abs(value) < 5e-6:
        return "< 0.001 %"
    return f"{number(100 * value)} %"


def _bytes(value: float) -> str:
    size, step = float(value), 0
    while abs(size) >= 1024 and step < len(_BINARY) - 1:
        size, step = size / 1024, step + 1
    return f"{number(size)} {_BINARY[step]}"


def table_html(
    title: str, head: Sequence[str], rows: Iterable[Sequence[object]], below: str = ""
) -> str:
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


def table_text(title: str, rows: Iterable[Sequence[object]]) -> str:
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
    return " ".join(plain_text(str(value)).split())
