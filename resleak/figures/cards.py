"""Cards of causes as safe HTML: what leaks, where, why, how badly, and what to change."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from resleak import formatting
from resleak.analysis import wording
from resleak.analysis.causes import text
from resleak.captures.frames import traces
from resleak.figures.html_table import Markup, unbroken
from resleak.figures.live_svg import lines_of, points
from resleak.figures.sentences import OWN
from resleak.figures.style import VARIANTS

if TYPE_CHECKING:
    from resleak.analysis.causes.model import Explained
    from resleak.analysis.verdicts import VariantVerdict
    from resleak.captures.frames import Capture

_COLOUR = VARIANTS["leaky"].colour
_BOX = (
    f"border:1px solid rgba(127,127,127,.35);border-left:4px solid {_COLOUR};border-radius:6px;"
    "padding:8px 12px;margin:8px 0;font-size:0.95em;overflow:auto"
)
_ROW = (
    "display:grid;grid-template-columns:max-content minmax(0,1fr);gap:2px 14px;margin:4px 0 0;"
    "min-width:16em"
)
_LABEL, _TEXT = "opacity:.75;white-space:nowrap", "overflow-wrap:anywhere"
_CODE = "display:block;white-space:pre-wrap;background:rgba(127,127,127,.13);padding:1px 6px"
#: Pixels of a curve, of its box and of its text; a grey that is read on white and on black.
_WIDTH, _HEIGHT, _LINE, _GREY = 210, 96, 13, "#808080"
_IMAGE = f"float:right;width:{_WIDTH}px;max-width:100%;margin-left:12px"


@dataclass(frozen=True)
class Curve:
    """The readings of one gauge: of each run the steps and the values."""

    gauge: str
    unit: str
    runs: list[list[list[float]]]


@dataclass(frozen=True)
class Card:
    """One cause as plain texts, which may be redacted: a title, and rows of label, text, source."""

    title: str
    rows: list[list[str]]
    #: Of its main gauge.
    curve: Curve | None = None


def cards(variants: Iterable[VariantVerdict], captures: Iterable[Capture] = ()) -> list[Card]:
    """Return a card for each cause; with captures, each with the curve of its main gauge."""
    captures = [one for one in captures if one.instrument == "gauges"]
    causes = [(variant.name, cause) for variant in variants for cause in variant.found.causes]
    named = {name: "" if name == OWN else f"{name}: " for name, _ in causes}
    return [
        Card(
            f"{number}. {named[name]}{' '.join(text.headline(cause).split())}",
            [[row.label, row.text, row.source] for row in text.rows(cause)],
            _curve([one for one in captures if one.variant == name], text.main(cause)),
        )
        for number, (name, cause) in enumerate(causes, 1)
    ]


def _curve(captures: Sequence[Capture], part: Explained) -> Curve | None:
    rows = traces(captures) if captures else None
    if rows is None or part.gauge not in rows:
        return None
    runs = [[x.tolist(), y.tolist()] for _, x, y in lines_of(rows, part.gauge)]
    return Curve(part.gauge, part.unit, runs) if runs else None


def cause_cards(*variants: VariantVerdict, captures: Iterable[Capture] = ()) -> Markup:
    """Show the causes of variants as cards, and how much of their growth they explain.

    With `captures` a card shows the curve of its cause's main gauge.
    """
    notes = [
        note if variant.name == OWN else f"{variant.name}: {note}"
        for variant in variants
        for note in text.accounts(variant.found)
    ]
    shown = cards(variants, captures)
    plain = [line for one in shown for line in (one.title, *text.aligned(one.rows), "")]
    paragraphs = "".join(f"<p>{escape(note)}</p>" for note in notes)
    as_html = html(shown) + paragraphs if shown else "<p>Nothing leaks.</p>"
    return Markup(as_html, "\n".join([*plain, *notes]) or "Nothing leaks.")


def html(shown: Iterable[Card]) -> str:
    """Return cards as HTML, with everything in them escaped."""
    return "".join(
        f'<div class="cause" style="{_BOX}"><div><b>{escape(one.title)}</b></div>'
        f"{_drawn(one.curve) if one.curve else ''}"
        # No list of terms: JupyterLab clears floats before each, and so moves it below the curve.
        f'<div style="{_ROW}">{"".join(map(_row, one.rows))}</div></div>'
        for one in shown
    )


def _row(row: Sequence[str]) -> str:
    label, told, source = row
    code = f'<code style="{_CODE}">{escape(source)}</code>' if source else ""
    text = f'<div style="{_TEXT}">{unbroken(told)}{code}</div>'
    return f'<div style="{_LABEL}">{escape(label)}</div>{text}'


def _drawn(curve: Curve) -> str:
    """Return a picture of a line per run, between the lowest and the highest reading."""
    steps, values = ([n for run in curve.runs for n in map(float, run[k])] for k in (0, 1))
    low, high, last = min(values), max(values), max(steps)
    lines = "".join(
        f'<polyline points="{points(x, y, (last, low, high), (_WIDTH, _HEIGHT))}" fill="none" '
        f'stroke="{_COLOUR}" stroke-width="1.5" stroke-linejoin="round"/>'
        for x, y in curve.runs
    )
    lowest, highest = (wording.bare(value, curve.unit) for value in (low, high))
    top, end = f"{curve.gauge} {highest}", f"step {formatting.number(last)}"
    texts = "".join(
        f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'
        for x, y, anchor, words in (
            (0, -4, "start", top),
            (0, _HEIGHT + _LINE, "start", lowest),
            (_WIDTH, _HEIGHT + _LINE, "end", end),
        )
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 {-_LINE - 4} {_WIDTH} '
        f'{_HEIGHT + 2 * _LINE + 8}" font-family="sans-serif" font-size="11" fill="{_GREY}">{lines}'
        f'<line x2="{_WIDTH}" y1="{_HEIGHT}" y2="{_HEIGHT}" stroke="{_GREY}"/>{texts}</svg>'
    )
    data, alt = b64encode(svg.encode()).decode(), escape(f"{top}, from {lowest}, {end}", quote=True)
    return f'<img alt="{alt}" src="data:image/svg+xml;base64,{data}" style="{_IMAGE}">'
