"""Growth curves as plain SVG, quick enough to be drawn again several times a second."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from itertools import pairwise

import numpy as np
import pandas as pd

from resleak import formatting
from resleak.analysis import wording
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.analysis.rows import Rows
from resleak.figures.html_table import Markup
from resleak.figures.style import GRID, SHADE, Mark, marks, order
from resleak.workload.gauges import Gauge

#: Phases of a run in which its steps are made.
LOADED = ("warmup", "steady")
#: Of a curve's box, which is stretched to its place: no text stands in it.
_WIDTH, _HEIGHT = 480, 110
_MOST = 160
_DASHES = {"solid": "", "dashdot": "8,3,2,3", "longdash": "12,4", "longdashdot": "12,4,2,4"}
_GRIDS = (
    "display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,290px),1fr));gap:14px 20px"
)
_SMALL = "font-size:0.87em;opacity:0.8"
_NOTHING = "No reading yet."


def sketch(
    traces: pd.DataFrame,
    gauges: Mapping[str, Gauge],
    verdicts: pd.DataFrame | Iterable[GaugeVerdict] = (),
    *,
    steps: int = 0,
    warmup: int = 0,
) -> Markup:
    """Draw one small curve per gauge, one line per run, in the colour of its variant.

    `steps` and `warmup` are those of a whole run, which may still go on; the warm-up is shaded.
    """
    looks = marks(order(traces["variant"].unique()) if len(traces) else [])
    last = max(steps, int(traces["step"].max()) if len(traces) else 0, 1)
    rows = traces[traces["phase"].isin(LOADED)] if len(traces) else traces
    judged = Rows.of(GaugeVerdict, verdicts)
    parts = [_part(rows, gauge, judged, looks, last, warmup) for gauge in gauges.values()]
    body = "".join(part.html for part in parts) or f'<p style="{_SMALL}">{_NOTHING}</p>'
    keys = "".join(
        '<span style="margin-right:16px;white-space:nowrap">'
        '<svg width="22" height="10" aria-hidden="true"><line x1="0" y1="5" x2="22" y2="5" '
        f"{_stroke(mark, 2.5)}/></svg> {escape(name)}</span>"
        for name, mark in looks.items()
    )
    legend = f'<div style="min-height:1.5em;margin:4px 0">{keys}</div>'
    text = "\n".join(part.text for part in parts) or _NOTHING
    return Markup(f'{legend}<div style="{_GRIDS}">{body}</div>', text)


def _part(
    rows: pd.DataFrame,
    gauge: Gauge,
    verdicts: Rows[GaugeVerdict],
    looks: Mapping[str, Mark],
    last: int,
    warmup: int,
) -> Markup:
    lines = list(lines_of(rows, gauge.name)) if gauge.name in rows else []
    values = np.concatenate([y for _, _, y in lines]) if lines else np.zeros(1)
    low = float(values.min())
    # The axis spans at least the smallest rise of note: a flat gauge looks flat.
    high = max(float(values.max()), low + gauge.rise, low + 1e-9)
    curves = ""
    for variant, x, y in lines:
        place = points(x, y, (last, low, high), (_WIDTH, _HEIGHT))
        curves += f'<polyline points="{place}" {_stroke(looks[variant], 1.6)}/>'
    # The last reading of each variant, or its verdict where there is one.
    labels = {one.variant: wording.label(one) for one in verdicts if one.gauge == gauge.name}
    now = {variant: formatting.amount(y[-1], gauge.unit) for variant, _, y in lines}
    status = " · ".join(f"{name} {labels.get(name, text)}" for name, text in now.items()) or "…"
    top, bottom = (formatting.amount(v, gauge.unit) if lines else "" for v in (high, low))
    scale = f'<div style="{_SMALL};display:flex;justify-content:space-between">'
    label = escape(f"{gauge.name} {status}", quote=True)
    style = f"display:block;width:100%;height:{_HEIGHT}px;border-bottom:1px solid {GRID}"
    html = (
        f'<div style="min-width:0"><div style="min-height:1.5em"><b>{escape(gauge.name)}</b> '
        f'<span style="{_SMALL}">{escape(status)}</span></div>'
        f'{scale}<span style="white-space:nowrap">{escape(top) or "&#160;"}</span></div>'
        f'<svg role="img" aria-label="{label}" viewBox="0 -4 {_WIDTH} {_HEIGHT + 8}" '
        f'preserveAspectRatio="none" style="{style}"><rect y="-4" '
        f'width="{_WIDTH * (warmup / last):.1f}" height="{_HEIGHT + 8}" fill="{SHADE}"/>'
        f"{curves}</svg>"
        f"{scale}<span>{escape(bottom)}</span><span>step {formatting.number(last)}</span></div>"
        "</div>"
    )
    return Markup(html, f"{gauge.name}: {status}")


def lines_of(rows: pd.DataFrame, gauge: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield variant, steps and values of each run, read after every step where that is known."""
    read = rows[rows[gauge].notna()]
    for (variant, _), part in read.groupby(["variant", "run"], sort=False):
        for moment in ("step", "after_collect", "reading", "sample"):
            of_moment = part[part["moment"] == moment]
            if len(of_moment):
                x, y = (of_moment[name].to_numpy(dtype=float) for name in ("step", gauge))
                yield str(variant), *thin(x, y, _MOST)
                break


def thin(x: np.ndarray, y: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return at most `most` points that keep ends and extremes, in the order given."""
    if len(x) <= most:
        return x, y
    edges = np.linspace(0, len(y), max(most // 2 - 1, 1) + 1).astype(int)
    extremes = [(a + y[a:b].argmin(), a + y[a:b].argmax()) for a, b in pairwise(edges) if b > a]
    keep = np.unique(np.append(np.array(extremes), (0, len(y) - 1)))
    return x[keep], y[keep]


def points(
    x: Iterable[float],
    y: Iterable[float],
    scale: tuple[float, float, float],
    box: tuple[float, float],
) -> str:
    """Return the points of a curve in a box; `scale` has the last x, the lowest and highest y."""
    last, low, high = scale
    across, up = box[0] / (last or 1.0), box[1] / ((high - low) or 1.0)
    return " ".join(f"{across * a:.1f},{up * (high - b):.1f}" for a, b in zip(x, y, strict=True))


def _stroke(mark: Mark, width: float) -> str:
    dash = _DASHES.get(mark.dash, mark.dash.replace("px", ""))
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'fill="none" stroke="{mark.colour}" stroke-width="{width}"{dashed} '
        'vector-effect="non-scaling-stroke" stroke-linejoin="round"'
    )
