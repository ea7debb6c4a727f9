"""Growth as an icicle of plotly, to compose with other figures of plotly."""

from __future__ import annotations

from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from resleak import formatting
from resleak.analysis.stacks import is_library, prune
from resleak.figures import plotly_theme, style

_ROOT = "root"
_STUDIED, _PASSING, _OWN, _LIBRARY = (
    style.FRAMES[kind] for kind in ("studied", "passing", "other", "library")
)
_KEY = {
    _STUDIED: "studied code",
    _PASSING: "studied, growth that does not last",
    _OWN: "other code",
    _LIBRARY: "libraries",
}
_ROW_PX, _HEAD_PX, _FOOT_PX, _MOST_PX = 24, 56, 34, 1400
_NOTHING = "nothing grew between the steady marks"
_UNKNOWN = "no capture has stacks of two steady marks: nothing is known of growth"
_HOVER = "<b>%{customdata[0]}</b><br>%{customdata[1]}<extra></extra>"


def icicle(tree: pd.DataFrame, *, title: str | None = None, most: int = 1000) -> go.Figure:
    """Draw the stacks that grew: callers above, what they call below, as wide as their growth.

    A click on a frame makes it the widest; a click on the top row goes back.

    Parameters
    ----------
    tree : DataFrame
        As `resleak.analysis.stacks.tree` returns it.
    title : str, optional
        The figure's title.
    most : int
        Draw the largest frames only, this many.

    Returns
    -------
    plotly.graph_objects.Figure
        Or a figure that says in words why there is nothing to draw.
    """
    shown = prune(tree, most)
    if shown.empty:
        known = tree.attrs.get("captures", 1) > 0
        return _titled(plotly_theme.empty(_NOTHING if known else _UNKNOWN), title)
    figure = _titled(go.Figure(_icicle(shown, left_out=len(tree) - len(shown))), title)
    height = _HEAD_PX + _FOOT_PX + _ROW_PX * (int(shown["depth"].max()) + 2)
    figure.update_layout(
        template=plotly_theme.template(),
        height=min(height, _MOST_PX),
        margin={"l": 8, "r": 8, "t": _HEAD_PX, "b": _FOOT_PX},
        uniformtext={"minsize": 11, "mode": "hide"},
    )
    return figure.add_annotation(**_key(set(_colours(shown))))


def _titled(figure: go.Figure, title: str | None) -> go.Figure:
    return figure.update_layout(title={"text": escape(title)}) if title else figure


def _icicle(shown: pd.DataFrame, left_out: int) -> go.Icicle:
    total = float(shown.loc[shown["parent"] < 0, "bytes_per_step"].sum())
    whole = f"all growth  {formatting.rate(total, 'B')}"
    more = f"<br>{left_out} smaller frames are not drawn" if left_out else ""
    count = float(shown.loc[shown["parent"] < 0, "count_per_step"].sum())
    parents = [_ROOT if parent < 0 else str(parent) for parent in shown["parent"]]
    return go.Icicle(
        ids=[_ROOT, *shown["node"].astype(str)],
        parents=["", *parents],
        labels=[whole, *map(_label, shown.itertuples())],
        values=[total, *shown["bytes_per_step"]],
        branchvalues="total",
        customdata=[
            [whole, f"{formatting.rate(count, 'blocks')}{more}"],
            *([_name(frame), _details(frame, total)] for frame in shown.itertuples()),
        ],
        hovertemplate=_HOVER,
        marker={"colors": [style.GRID, *_colours(shown)], "line": {"width": 0}},
        textfont={"color": [style.INK, *[style.LETTERS] * len(shown)]},
        textposition="middle left",
        tiling={"orientation": "v", "pad": 1},
        pathbar={"visible": False},
        root={"color": style.CLEAR},
        leaf={"opacity": 1},
        hoverlabel={"align": "left"},
    )


def _name(frame: Any) -> str:
    """Write a frame's function and place; both come from a capture, and may hold anything."""
    where = f"{frame.file}:{frame.line}" if frame.file else ""
    return escape(f"{frame.function}  {where}".rstrip())


def _label(frame: Any) -> str:
    return f"<b>{_name(frame)}</b>" if frame.studied else _name(frame)


def _details(frame: Any, total: float) -> str:
    grown = formatting.rate(frame.bytes_per_step, "B")
    own = formatting.rate(frame.self_bytes_per_step, "B")
    return (
        f"{grown}, {formatting.share(frame.bytes_per_step / total)} of all growth<br>"
        f"{own} allocated here itself<br>"
        f"{formatting.rate(frame.count_per_step, 'blocks')}"
        + ("" if frame.lasting else "<br>this growth does not last")
    )


def _colours(shown: pd.DataFrame) -> list[str]:
    return [_colour(frame) for frame in shown.itertuples()]


def _colour(frame: Any) -> str:
    if frame.studied:
        return _STUDIED if frame.lasting else _PASSING
    return _LIBRARY if is_library(frame.file) or not frame.file else _OWN


def _key(used: set[str]) -> dict[str, Any]:
    """Return the annotation that tells the colours which are used."""
    entries = (
        f'<span style="color:{colour}">■</span> {meaning}'
        for colour, meaning in _KEY.items()
        if colour in used
    )
    return {
        "text": "    ".join(entries),
        "showarrow": False,
        "xref": "paper",
        "yref": "paper",
        "x": 0,
        "y": 0,
        "yanchor": "top",
        "yshift": -8,
    }
