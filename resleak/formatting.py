"""Numbers, durations and small tables, written the same way everywhere."""

from __future__ import annotations

import math
import re
import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

LEFT, RIGHT = "text-align:left;", "text-align:right;white-space:nowrap;"
SMALL = "font-size:0.87em;opacity:0.8;"
_LINE = "1px solid rgba(127, 127, 127, 0.22)"
_CELL = f"padding:4px 10px;border-bottom:{_LINE};vertical-align:top;"
_TABLE = "border-collapse:collapse;font-variant-numeric:tabular-nums;margin:0.4em 0;"
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([smhd]?)", re.ASCII)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_S = 10 * 365 * 86400.0
#: Endings of plurals and of their singulars; the first that fits counts.
_SINGULAR = (
    *(("us", "us"), ("series", "series"), ("caches", "cache")),
    *(("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("s", "")),
)
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB")
#: Smallest span in a unit, seconds in the unit, and its name.
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
    """Write a number with its unit, with three significant digits; NaN is an en dash.

    ``B`` is scaled to KiB, MiB and so on, also in ``B/h``; another unit is singular after one.
    """
    if value is None or math.isnan(value):
        return "–"
    noun, slash, per = unit.partition("/")
    if noun == "B":
        power = 0
        while abs(value) >= 1024 and power < len(_BINARY) - 1:
            value, power = value / 1024, power + 1
        noun = _BINARY[power]
    text = number(value)
    if text == "1" and len(noun) > 2:
        end, one = next((pair for pair in _SINGULAR if noun.endswith(pair[0])), ("", ""))
        noun = noun.removesuffix(end) + one
    return f"{text} {noun}{slash}{per}".rstrip()


def rate(value: float, unit: str = "", per: str = "step") -> str:
    """Write a rate, such as ``412 B/step``."""
    return f"{amount(value, unit)}/{per}" if not math.isnan(value) else "–"


def interval(low: float, high: float) -> str:
    """Write an interval as ``[low, high]``; NaN bounds are written as en dashes."""
    return f"[{number(low)}, {number(high)}]"


def number(value: float) -> str:
    """Write a bare number with three significant digits and commas between thousands."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if abs(value) >= 999.5:
        return f"{value:,.0f}".replace("-", "−")
    if abs(value) < 5e-4:
        return f"{value:.6f}".rstrip("0").replace("-", "−") if abs(value) >= 5e-7 else "0"
    return f"{value:.3g}".replace("-", "−")


def duration(seconds: float) -> str:
    """Write a span of time in a readable unit, such as ``2.5 h``; infinity is never."""
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


def counted(number: int, noun: str) -> str:
    """Return a number of things: ``1 cell``, ``3 cells``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def several(per: str) -> str:
    """Return the plural of a step's unit: ``steps``, ``seconds``, ``requests``."""
    return "seconds" if per == "s" else f"{per}s"


def share(value: float) -> str:
    """Write a fraction as a percentage."""
    if 0 < abs(value) < 5e-6:
        return "< 0.001 %"
    return f"{number(100 * value)} %"


@dataclass(frozen=True)
class Cell:
    """One cell of a table: its text and, where that is not enough, its safe markup and style."""

    text: str
    html: str = ""
    style: str = LEFT
    rows: int = 1
    columns: int = 1
    tone: str = ""

    @property
    def line(self) -> str:
        """Its text on one line, control characters shown."""
        return plain_text(" ".join(str(self.text).split()))

    def render(self, tag: str = "td") -> str:
        """Return the cell as HTML."""
        span = f' rowspan="{self.rows}"' if self.rows > 1 else ""
        span += f' colspan="{self.columns}"' if self.columns > 1 else ""
        return f'<{tag}{span} style="{_CELL}{self.style}">{self.html or escape(self.line)}</{tag}>'


@dataclass(frozen=True)
class Table:
    """Rows for people, as HTML, text or Markdown; everything but a cell's `html` is escaped.

    `rows` are sequences of text and `Cell`; an empty one is a break between groups. Without `head`
    the first cell names its row.
    """

    head: Sequence[object]
    rows: Sequence[Sequence[object]]
    title: str = ""
    note: str = ""

    def cells(self) -> list[list[Cell]]:
        """Return all rows but the breaks, each of cells."""
        return [[cell(value) for value in row] for row in self.rows if row]

    def html(self) -> str:
        """Return title, table and note as HTML with inline styles."""
        top = "".join(cell(name).render("th") for name in self.head)
        body = "".join(f"<tr>{''.join(c.render() for c in row)}</tr>" for row in self.cells())
        title = f"<p><b>{escape(self.title)}</b></p>" if self.title else ""
        header = f"<thead><tr>{top}</tr></thead>" if self.head else ""
        table = f'<table style="{_TABLE}">{header}<tbody>{body}</tbody></table>'
        return f"{title}{table}{note(self.note) if self.note else ''}"

    def text(self) -> str:
        """Return title, head, rows and note as lines in columns."""
        head = [[cell(name) for name in self.head]] if self.head else []
        lines = [[one.line for one in row] for row in [*head, *self.cells()]]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        rows = ("  ".join(map(str.ljust, line, widths)) for line in lines)
        indent = "  " if self.title else ""
        parts = (self.title, *(f"{indent}{row}".rstrip() for row in rows), self.note)
        return "\n".join(part for part in parts if part)

    def markdown(self) -> str:
        """Return head and rows as a Markdown table."""
        lines = [[cell(name).line for name in self.head], ["---"] * len(self.head)]
        lines += [[one.line for one in row] for row in self.cells()]
        return "\n".join(
            f"| {' | '.join(markdown_text(text, cell=True) for text in line)} |" for line in lines
        )


class Shown:
    """Shows itself as its table, in a notebook and in a terminal."""

    def _table(self) -> Table:
        raise NotImplementedError

    def __repr__(self) -> str:
        return self._table().text()

    def _repr_html_(self) -> str:
        return self._table().html()


def ending(code: int) -> str:
    """Return how a process ended, by its exit code; a negative one is a signal."""
    if code >= 0:
        return f"ended with code {code}"
    names = {number.value: number.name for number in signal.Signals}
    return f"was ended by {names.get(-code, 'a signal')} (code {code})"


def cell(value: object) -> Cell:
    """Return a cell of plain text."""
    return value if isinstance(value, Cell) else Cell(str(value))


def right(value: object) -> Cell:
    """Return a cell of a number already written out."""
    return Cell(str(value), style=RIGHT)


def note(sentence: str) -> str:
    """Return a remark below a table as HTML."""
    return f'<p style="{SMALL}margin:0.3em 0 0.8em">{escape(sentence)}</p>'
