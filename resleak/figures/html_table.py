"""Small result tables as HTML that survives an untrusted notebook: inline styles, all escaped."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from resleak import formatting
from resleak.figures.style import GRID, marks, order
from resleak.workload.scenario import VERDICTS

if TYPE_CHECKING:
    import pandas as pd

_CELL = f"padding:4px 10px;border-bottom:1px solid {GRID};vertical-align:top;"
_LEFT, _RIGHT = "text-align:left;", "text-align:right;white-space:nowrap;"
_TABLE = "border-collapse:collapse;font-variant-numeric:tabular-nums;margin:0.4em 0;"
SMALL = "font-size:0.87em;opacity:0.8;"
_CLEAN = ("flat", "plateau")
_WIDE, _BREAKS = "min-width:14em;", "overflow-wrap:anywhere"
#: A verdict that asks for something is heavier; the word itself says which.
_WEIGHT = {"leak": "700", "deferred": "700", "inconclusive": "600"}


@dataclass(frozen=True)
class Table:
    """A table for people: HTML where it is shown, text where it is printed.

    Parameters
    ----------
    html : str
        Safe to show as it stands.
    frame : DataFrame
        What the table says, as numbers.
    """

    html: str
    frame: pd.DataFrame = field(repr=False)

    def __repr__(self) -> str:
        """Return the table as plain text, for terminals and screen readers."""
        return str(self.frame.to_string(index=False, float_format=formatting.number))

    def _repr_html_(self) -> str:
        return self.html


@dataclass(frozen=True)
class Cell:
    """One cell: markup that is already safe, its side, and how much it spans."""

    html: str
    style: str = _LEFT
    rows: int = 1
    columns: int = 1

    def render(self, tag: str = "td") -> str:
        """Return the cell as HTML."""
        span = f' rowspan="{self.rows}"' if self.rows > 1 else ""
        span += f' colspan="{self.columns}"' if self.columns > 1 else ""
        return f'<{tag}{span} style="{_CELL}{self.style}">{self.html}</{tag}>'


def text(value: object, style: str = _LEFT) -> Cell:
    """Return a cell of plain text."""
    return Cell(escape(str(value)), style)


def right(value: object) -> Cell:
    """Return a cell of a number already written out."""
    return text(value, _RIGHT)


def table(head: Sequence[Cell], body: Iterable[Sequence[Cell]]) -> str:
    """Return an HTML table."""
    rows = "".join(f"<tr>{''.join(cell.render() for cell in row)}</tr>" for row in body)
    top = "".join(cell.render("th") for cell in head)
    return f'<table style="{_TABLE}"><thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table>'


def note(sentence: str) -> str:
    """Return a remark to stand below a table."""
    return f'<p style="{SMALL}margin:0.3em 0 0.8em">{escape(sentence)}</p>'


def verdict_table(growth: pd.DataFrame, *, all_rows: bool = False) -> Table:
    """Show what was judged of each gauge in each variant, and how sure that is.

    Parameters
    ----------
    growth : DataFrame
        The growth table of `resleak.judge`: ``variant gauge verdict per_step low high unit
        smallest_detectable peak at_end`` and, where there is one, ``reason`` and ``origin``.
    all_rows : bool
        Show gauges that are clean in every variant too, instead of folding them away.

    Returns
    -------
    Table
        Worst gauge first; within a gauge the variants in the usual order.
    """
    if growth.empty:
        return Table(note("Nothing was judged: the captures hold no gauge with readings."), growth)
    names = order(list(growth["variant"].unique()))
    ranked = _ranked(growth, names)
    clean = ranked["verdict"].isin(_CLEAN).groupby(ranked["gauge"]).transform("all")
    folded = ranked[clean & (not all_rows)]
    shown = ranked.drop(folded.index)
    per = str(growth["per"].iloc[0]) if "per" in growth else "step"
    parts = [_verdicts(shown, names, per)] if len(shown) else []
    if len(folded):
        what = f"flat or plateau in every variant: {', '.join(folded['gauge'].unique())}"
        opened = "" if len(shown) else " open"
        summary = f'<summary style="cursor:pointer">{escape(what)}</summary>'
        parts.append(f"<details{opened}>{summary}{_verdicts(folded, names, per)}</details>")
    return Table("".join(parts), ranked)


def _ranked(growth: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    import pandas as pd

    rank = growth["verdict"].map({word: n for n, word in enumerate(VERDICTS)})
    worst = rank.groupby(growth["gauge"]).transform("min")
    place = growth["variant"].map({name: n for n, name in enumerate(names)})
    first = growth.groupby("gauge", sort=False).ngroup()
    keys = pd.DataFrame({"worst": worst, "first": first, "place": place})
    return growth.loc[keys.sort_values(["worst", "first", "place"]).index].reset_index(drop=True)


def _verdicts(rows: pd.DataFrame, names: list[str], per: str) -> str:
    heads = ("gauge", "variant", "verdict")
    numbers = (f"per {per}", "95 % interval", "smallest detectable", "peak", "at the end")
    head = [*map(text, heads), *(text(name, "text-align:right;") for name in numbers)]
    body: list[list[Cell]] = []
    for gauge, part in rows.groupby("gauge", sort=False):
        first = gauge_cell(str(gauge), str(part["unit"].iloc[0]), len(part))
        lines = [_verdict_cells(row, names) for row in part.to_dict("records")]
        body += [[first, *lines[0]], *lines[1:]]
    return table(head, body)


def gauge_cell(name: str, unit: str, rows: int = 1) -> Cell:
    """Return the cell that names the gauge, and its unit unless each number carries it."""
    told = "" if unit in ("", "B", name) else f'<div style="{SMALL}">{escape(unit)}</div>'
    return Cell(f"<b>{escape(name)}</b>{told}", _LEFT, rows)


def _verdict_cells(row: dict[Hashable, Any], names: list[str]) -> list[Cell]:
    unit = "B" if row["unit"] == "B" else ""
    variant, rates = str(row["variant"]), ("per_step", "smallest_detectable")
    per_step, smallest, peak, end = (
        formatting.amount(_number(row[key]), unit) for key in (*rates, "peak", "at_end")
    )
    interval = bounds(_number(row["low"]), _number(row["high"]), unit)
    origin = str(row.get("origin") or "")
    word = _word(str(row["verdict"]), str(row.get("reason") or ""), origin)
    name = Cell(f"{swatch(variant, names)}{escape(variant)}")
    return [name, word, *map(right, (per_step, interval, smallest, peak, end))]


def swatch(variant: str, names: list[str]) -> str:
    """Return the variant's colour as a small square."""
    colour = marks(names)[variant].colour
    return f'<span style="color:{colour}">■</span>&#160;'


def _word(verdict: str, reason: str, origin: str) -> Cell:
    word = f'<span style="font-weight:{_WEIGHT.get(verdict, "400")}">{escape(verdict)}</span>'
    told = [reason] if verdict in ("deferred", "inconclusive") else []
    told += [f"opened at {origin.rpartition('/')[2]}"] if origin else []
    about = "".join(f'<div style="{SMALL}">{escape(line)}</div>' for line in told if line)
    return Cell(word + about, f"{_LEFT}min-width:11em;{_BREAKS};")


def bounds(low: float, high: float, unit: str) -> str:
    """Write an interval in its unit: bytes are scaled, others are bare numbers."""
    if unit != "B":
        return formatting.interval(low, high)
    return f"[{formatting.amount(low, 'B')}, {formatting.amount(high, 'B')}]"


def sites_table(sites: pd.DataFrame, *, top: int = 10, per: str = "step") -> Table:
    """Show where what stays was allocated, largest growth first.

    Parameters
    ----------
    sites : DataFrame
        Of `resleak.sites`: ``function file line bytes_per_step share`` and, where measured,
        ``low high count_per_step``.
    top : int
        How many to show; the note says what the others add up to.
    per : str
        What the rates are counted by: ``step``, or ``s`` in a recording of another program.

    Returns
    -------
    Table
    """
    if "bytes_per_step" not in sites:
        return Table(note("There is no memory profile of this variant."), sites)
    grown = sites[sites["bytes_per_step"] > 0]
    if grown.empty:
        return Table(note("No allocation site grew between the steady marks."), grown)
    shown = grown.head(top).reset_index(drop=True)
    return Table(sites_html(grown.to_dict("records"), top, per), shown)


def sites_html(grown: Sequence[Mapping[Any, Any]], top: int, per: str) -> str:
    """Return the table of sites that grew, the largest first, as HTML."""
    heads = [text("function"), text("file"), right(f"per {per}"), text("share of the growth")]
    rest = grown[top:]
    total = formatting.amount(sum(float(row["bytes_per_step"]) for row in rest), "B")
    below = note(f"{len(rest)} more sites add up to {total} per {per}.") if rest else ""
    return table(heads, map(_site_cells, grown[:top])) + below


def _site_cells(row: Mapping[Any, Any]) -> list[Cell]:
    per_step, share = _number(row["bytes_per_step"]), _number(row["share"])
    where = f"{row['file']}:{row['line']}" if row["file"] else ""
    about = ""
    if "low" in row:
        inside = bounds(_number(row["low"]), _number(row["high"]), "B")
        about = f'<div style="{SMALL}">{escape(inside)}</div>'
    return [
        Cell(f"<code>{escape(str(row['function']))}</code>"),
        Cell(f'<code style="{_BREAKS}">{escape(where)}</code>' if where else "", _LEFT + _WIDE),
        Cell(escape(formatting.amount(per_step, "B")) + about, _RIGHT),
        Cell(escape(formatting.share(share)), _LEFT + _bar(share)),
    ]


def _bar(share: float) -> str:
    width = 100 * min(max(share if share == share else 0.0, 0.0), 1.0)
    colour = marks(["leaky"])["leaky"].fill(0.35)
    gradient = f"linear-gradient(to right, {colour} {width:.1f}%, transparent {width:.1f}%)"
    return f"min-width:9em;background:{gradient};"


def _number(value: object) -> float:
    return float("nan") if value is None else float(str(value))
