"""Result tables as HTML that survives an untrusted notebook: inline styles, all text escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from textwrap import dedent
from typing import TYPE_CHECKING

from resleak import formatting
from resleak.analysis import wording
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.analysis.rows import Rows
from resleak.analysis.stacks.site import Site
from resleak.figures.sentences import OWN
from resleak.figures.style import VARIANTS, marks, order, word_style
from resleak.formatting import LEFT, RIGHT, SMALL, Cell, note, right
from resleak.workload.verdict_words import CLEAN, DEFERRED, UNDECIDED, VERDICTS

if TYPE_CHECKING:
    import pandas as pd

_WIDE, _BREAKS = "min-width:14em;", "overflow-wrap:anywhere"
#: Characters of a name that is shown in one line, however narrow the page.
_LONG = 12
#: A line number with its file's name, unless that is long.
_LINE = re.compile(r"(?<![\w.-])([\w.-]{1,24}\.\w{1,5}:\d+)\b")
_SOURCE = "margin:2px 0;padding:1px 6px;background:rgba(127,127,127,.13);white-space:pre-wrap"


@dataclass(frozen=True)
class Markup:
    """Safe HTML for a notebook, and the same as text for a terminal."""

    html: str
    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html


@dataclass(frozen=True)
class Table:
    """A table for people: HTML where it is shown, text where it is printed.

    Attributes
    ----------
    html : str
        Safe to show as it stands.
    frame : DataFrame
        What the table says, as numbers.
    """

    html: str
    frame: pd.DataFrame

    def __repr__(self) -> str:
        return str(self.frame.to_string(index=False, float_format=formatting.number))

    def _repr_html_(self) -> str:
        return self.html


def table(head: Iterable[object], rows: Iterable[Sequence[object]]) -> str:
    """Return an HTML table of text and cells."""
    return formatting.Table(tuple(head), tuple(rows)).html()


def markup(html: str, style: str = LEFT) -> Cell:
    """Return a cell of markup that is already safe."""
    return Cell("", html, style)


def numbers(*heads: str) -> list[Cell]:
    """Return the heads of columns of numbers."""
    return [Cell(head, style="text-align:right;") for head in heads]


def folded(summary: str, html: str, *, is_open: bool = False, is_printed: bool = True) -> str:
    """Return markup behind a line of text that opens it; paper shows it, or the line alone."""
    line = f'<summary style="cursor:pointer">{escape(summary)}</summary>'
    kind = "" if is_printed else ' class="resleak-unprinted"'
    return f"<details{kind}{' open' if is_open else ''}>{line}{html}</details>"


def below(sentence: str) -> str:
    """Return a small line below a cell's content; nothing for an empty one."""
    return f'<div style="{SMALL}">{unbroken(sentence)}</div>' if sentence else ""


def unbroken(text: str) -> str:
    """Return text as HTML in which a line number stays beside its file's name."""
    return _LINE.sub(r'<span style="white-space:nowrap">\1</span>', escape(text))


def variant_cell(name: str, names: list[str]) -> Cell:
    """Return the cell of a variant, with its colour; a long name breaks where there is no room."""
    breaks = f"min-width:11em;{_BREAKS};" if len(name) > _LONG else "white-space:nowrap;"
    return markup(swatch(name, names) + escape(name), LEFT + breaks)


def swatch(variant: str, names: list[str]) -> str:
    """Return the variant's colour as a small square."""
    return f'<span style="color:{marks(names)[variant].colour}">■</span>&#160;'


def gauge_cell(name: str, unit: str, rows: int = 1) -> Cell:
    """Return the cell that names the gauge, and its unit unless each number carries it."""
    unit = "" if unit in ("B", name) else unit
    return Cell("", f"<b>{escape(name)}</b>{below(unit)}", rows=rows)


def verdict_table(
    growth: pd.DataFrame | Iterable[GaugeVerdict], *, all_rows: bool = False
) -> Table:
    """Show the verdict on each gauge in each variant, with its numbers; the worst gauge first.

    Parameters
    ----------
    growth : DataFrame or iterable of GaugeVerdict
        ``resleak.judge(…).frame``, or some of its rows.
    all_rows : bool
        Show gauges that are clean in every variant too, instead of folding them away.
    """
    verdicts = Rows.of(GaugeVerdict, growth)
    if not verdicts:
        text = "Nothing was judged: the captures hold no gauge with readings."
        return Table(note(text), verdicts.frame)
    names = order(one.variant for one in verdicts)
    ranks = worst_ranks(verdicts)
    gauges = sorted(ranks, key=lambda gauge: ranks[gauge])
    ranked = sorted(verdicts, key=lambda one: (gauges.index(one.gauge), names.index(one.variant)))
    wrong = {one.gauge for one in ranked if one.verdict not in CLEAN or all_rows}
    shown = [one for one in ranked if one.gauge in wrong]
    clean = [one for one in ranked if one.gauge not in wrong]
    html = _verdicts(shown, names) if shown else ""
    if clean:
        quiet = ", ".join(dict.fromkeys(one.gauge for one in clean))
        summary = f"flat or plateau in every variant: {quiet}"
        html += folded(summary, _verdicts(clean, names), is_open=not shown)
    return Table(html, Rows(GaugeVerdict, ranked).frame)


def worst_ranks(verdicts: Iterable[GaugeVerdict]) -> dict[str, int]:
    """Return the rank of each gauge's worst verdict, 0 for a leak."""
    ranks: dict[str, int] = {}
    for one in verdicts:
        rank = VERDICTS.index(one.verdict)
        ranks[one.gauge] = min(ranks.get(one.gauge, rank), rank)
    return ranks


def _verdicts(verdicts: list[GaugeVerdict], names: list[str]) -> str:
    body: list[list[Cell]] = []
    for gauge, group in groupby(verdicts, key=lambda one: one.gauge):
        part = list(group)
        rows = [_verdict_cells(one, names) for one in part]
        rows[0].insert(0, gauge_cell(gauge, part[0].unit, len(part)))
        body += rows
    per, variant = verdicts[0].per, [] if names == [OWN] else ["variant"]
    heads = numbers(f"per {per}", "95 % interval", "detection limit", "peak", "at the end")
    return table(["gauge", *variant, "verdict", *heads], body)


def _verdict_cells(one: GaugeVerdict, names: list[str]) -> list[Cell]:
    weight = word_style(one.verdict).weight
    word = f'<span style="font-weight:{weight}">{escape(one.verdict)}</span>'
    # A clean gauge that grows by more than its detection limit has a reason of its own.
    is_odd = one.verdict in CLEAN and one.per_step > one.detection_limit
    reason = one.reason if is_odd or one.verdict in (DEFERRED, UNDECIDED) else ""
    origin = f"opened at {one.origin.rpartition('/')[2]}" if one.origin else ""
    rate, limit, peak, end = (
        right(wording.bare(value, one.unit))
        for value in (one.per_step, one.detection_limit, one.peak, one.at_end)
    )
    variant = [] if names == [OWN] else [variant_cell(one.variant, names)]
    return [
        *variant,
        markup(word + below(reason) + below(origin), f"{LEFT}min-width:11em;{_BREAKS};"),
        *(rate, right(wording.interval(one)), limit, peak, end),
    ]


def sites_table(sites: pd.DataFrame | Iterable[Site], *, top: int = 10, per: str = "step") -> Table:
    """Show where retained memory was allocated, largest growth first.

    Parameters
    ----------
    sites : DataFrame or iterable of Site
        Of `resleak.sites`, or of ``resleak.judge(…).variants``.
    top : int
        Rows to show; the note says what the others add up to.
    per : str
        Unit of a step: ``step``, or ``s`` in a recording of another program.
    """
    rows = Rows.of(Site, sites)
    if not rows:
        return Table(note("There is no memory profile of this variant."), rows.frame)
    grown = [one for one in rows if one.bytes_per_step > 0 and not one.is_ours]
    shown, rest = Rows(Site, grown[:top]), grown[top:]
    if not grown:
        return Table(note("No allocation site grew between the steady marks."), shown.frame)
    total = formatting.amount(sum(site.bytes_per_step for site in rest), "B")
    more = note(f"{len(rest)} more sites add up to {total} per {per}.") if rest else ""
    head = ("function", "file", right(f"per {per}"), "share of the growth")
    return Table(table(head, map(_site_cells, shown)) + more, shown.frame)


def _site_cells(site: Site) -> list[Cell]:
    is_bounded = site.low == site.low or site.high == site.high
    interval = wording.bounds(site.low, site.high, "B") if is_bounded else ""
    place = f'<code style="{_BREAKS}">{unbroken(site.place)}</code>' if site.place else ""
    if site.source.strip():  # a line in bold, between its neighbours
        lines = [escape(line) for line in dedent(site.source).split("\n")]
        if len(lines) == 3:
            lines[1] = f"<b>{lines[1]}</b>"
        place += f'<pre style="{_SOURCE}">' + "\n".join(lines) + "</pre>"
    width = 100 * min(max(site.share if site.share == site.share else 0.0, 0.0), 1.0)
    colour = VARIANTS["leaky"].fill(0.35)
    bar = f"linear-gradient(to right, {colour} {width:.1f}%, transparent {width:.1f}%)"
    return [
        markup(f"<code>{escape(site.function)}</code>"),
        markup(place, LEFT + _WIDE),
        markup(escape(formatting.amount(site.bytes_per_step, "B")) + below(interval), RIGHT),
        Cell(formatting.share(site.share), style=f"{LEFT}min-width:9em;background:{bar};"),
    ]
