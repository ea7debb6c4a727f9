"""Growth curves as plain SVG, quick enough to be drawn again several times a second."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from resleak import formatting
from resleak.figures import timeline_curves
from resleak.figures.style import GRID, SHADE, Mark, marks, order
from resleak.workload.gauges import Gauge

#: Of a curve's box, which is stretched to its place: no text stands in it.
_WIDTH, _HEIGHT = 480, 110
_MOST = 160
_GRIDS = (
    "display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,290px),1fr));gap:14px 20px"
)
_SMALL = "font-size:0.87em;opacity:0.8"
_NOTHING = "No reading yet."


@dataclass(frozen=True)
class Sketch:
    """Growth curves for a page that shows SVG, with their last readings as text.

    Parameters
    ----------
    html : str
        Safe to show as it stands.
    text : str
        The same in words.
    points : int
        How many readings are drawn.
    """

    html: str = field(repr=False)
    text: str
    points: int = field(repr=False)

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html


def sketch(
    traces: pd.DataFrame,
    gauges: Mapping[str, Gauge],
    verdicts: pd.DataFrame | None = None,
    *,
    steps: int = 0,
    warmup: int = 0,
) -> Sketch:
    """Draw one small curve a gauge, one line a run, in the colour of its variant.

    Parameters
    ----------
    traces : DataFrame
        Rows of `resleak.traces`, of runs that have ended or not.
    gauges : mapping of str to Gauge
        What to draw, in this order; one without a reading keeps its place.
    verdicts : DataFrame, optional
        The growth table; the words stand above each curve.
    steps, warmup : int
        Steps of a whole run and of its warm-up, which is shaded; the x-axis goes to the last.

    Returns
    -------
    Sketch
    """
    names = order(list(traces["variant"].unique())) if len(traces) else []
    last = max(steps, int(traces["step"].max()) if len(traces) else 0, 1)
    rows = traces[traces["phase"].isin(timeline_curves.LOADED)] if len(traces) else traces
    parts = [_part(rows, gauge, verdicts, names, last, warmup) for gauge in gauges.values()]
    told = "\n".join(part.text for part in parts) or _NOTHING
    body = "".join(part.html for part in parts) or f'<p style="{_SMALL}">{_NOTHING}</p>'
    points = sum(part.points for part in parts)
    return Sketch(f'{_legend(names)}<div style="{_GRIDS}">{body}</div>', told, points)


def _legend(names: Sequence[str]) -> str:
    keys = "".join(
        f'<span style="margin-right:16px;white-space:nowrap">{_key(mark)} {escape(name)}</span>'
        for name, mark in marks(list(names)).items()
    )
    return f'<div style="min-height:1.5em;margin:4px 0">{keys}</div>'


def _key(mark: Mark) -> str:
    line = f'<line x1="0" y1="5" x2="22" y2="5" {_stroke(mark, 2.5)}/>'
    return f'<svg width="22" height="10" aria-hidden="true">{line}</svg>'


def _part(
    rows: pd.DataFrame,
    gauge: Gauge,
    verdicts: pd.DataFrame | None,
    names: Sequence[str],
    last: int,
    warmup: int,
) -> Sketch:
    lines = list(_lines(rows, gauge.name)) if gauge.name in rows else []
    low, high = _range(lines, gauge)
    looks, drawn = marks(list(names)), []
    for variant, x, y in lines:
        place = _points(x / last, (y - low) / (high - low))
        drawn.append(f'<polyline points="{place}" {_stroke(looks[variant], 1.6)}/>')
    told = _told(lines, gauge, verdicts)
    head = f'<b>{escape(gauge.name)}</b> <span style="{_SMALL}">{escape(told)}</span>'
    top, bottom = (formatting.amount(v, gauge.unit) if lines else "" for v in (high, low))
    scale = f'<div style="{_SMALL};display:flex;justify-content:space-between">'
    ends = f"{scale}<span>{escape(bottom)}</span><span>step {formatting.number(last)}</span></div>"
    label = escape(f"{gauge.name} {told}", quote=True)
    svg = _svg("".join(drawn), warmup / last, label)
    above = f'{scale}<span style="white-space:nowrap">{escape(top) or "&#160;"}</span></div>'
    named = f'<div style="min-height:1.5em">{head}</div>'
    html = f'<div style="min-width:0">{named}{above}{svg}{ends}</div>'
    return Sketch(html, f"{gauge.name}: {told}", sum(len(x) for _, x, _ in lines))


def _lines(rows: pd.DataFrame, gauge: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield variant, steps and values of each run, read after every step where that is known."""
    read = rows[rows[gauge].notna()]
    for (variant, _), part in read.groupby(["variant", "run"], sort=False):
        for moment in ("step", "after_collect", "sample"):
            found = part[part["moment"] == moment]
            if len(found):
                x, y = (found[name].to_numpy(dtype=float) for name in ("step", gauge))
                yield str(variant), *timeline_curves.thin(x, y, _MOST)
                break


def _range(
    lines: Sequence[tuple[str, np.ndarray, np.ndarray]], gauge: Gauge
) -> tuple[float, float]:
    """Return what the y-axis spans: never less than what is worth calling a climb."""
    values = np.concatenate([y for _, _, y in lines]) if lines else np.zeros(1)
    low, high = float(values.min()), float(values.max())
    return low, max(high, low + gauge.rise, low + 1e-9)


def _points(x: np.ndarray, y: np.ndarray) -> str:
    pairs = zip(_WIDTH * x, _HEIGHT * (1 - y), strict=True)
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in pairs)


def _stroke(mark: Mark, width: float) -> str:
    dash = {"dashdot": "8,3,2,3", "longdash": "12,4", "longdashdot": "12,4,2,4"}
    pattern = dash.get(mark.dash, "" if mark.dash == "solid" else mark.dash.replace("px", ""))
    dashed = f' stroke-dasharray="{pattern}"' if pattern else ""
    return (
        f'fill="none" stroke="{mark.colour}" stroke-width="{width}"{dashed} '
        'vector-effect="non-scaling-stroke" stroke-linejoin="round"'
    )


def _svg(drawn: str, shaded: float, label: str) -> str:
    box = f'viewBox="0 -4 {_WIDTH} {_HEIGHT + 8}" preserveAspectRatio="none"'
    style = f"display:block;width:100%;height:{_HEIGHT}px;border-bottom:1px solid {GRID}"
    warm = f'<rect y="-4" width="{_WIDTH * shaded:.1f}" height="{_HEIGHT + 8}" fill="{SHADE}"/>'
    return f'<svg role="img" aria-label="{label}" {box} style="{style}">{warm}{drawn}</svg>'


def _told(
    lines: Sequence[tuple[str, np.ndarray, np.ndarray]],
    gauge: Gauge,
    verdicts: pd.DataFrame | None,
) -> str:
    """Say the last reading of each variant, and the verdict where there is one."""
    known = verdicts is not None and len(verdicts)
    rows = verdicts[verdicts["gauge"] == gauge.name].to_dict("records") if known else []  # type: ignore[index]
    words = {str(row["variant"]): _word(row) for row in rows}
    last = {variant: formatting.amount(y[-1], gauge.unit) for variant, _, y in lines}
    told = [f"{name} {words.get(name, value)}" for name, value in last.items()]
    return " · ".join(told) or "…"


def _word(row: Mapping[Any, Any]) -> str:
    if row["verdict"] != "leak":
        return str(row["verdict"])
    return f"leak {formatting.rate(float(row['per_step']), str(row['unit']))}"
