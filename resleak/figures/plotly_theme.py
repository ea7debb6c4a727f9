"""The look in plotly: a template, titles, and settings of its renderers."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import plotly.io as pio

from resleak.figures.style import CLEAR, CONFIG, FONT, GRID, INK, OTHERS, VARIANTS


def template() -> go.layout.Template:
    """Return the plotly template; its papers are clear, so that the page's own shows through."""
    axis = {
        "gridcolor": GRID,
        "zerolinecolor": GRID,
        "linecolor": GRID,
        "ticks": "",
        "automargin": True,
        "title": {"font": {"size": 12}, "standoff": 8},
    }
    hover_font = {"family": FONT, "color": "#F2F2F2", "size": 12}
    return go.layout.Template(
        layout={
            "paper_bgcolor": CLEAR,
            "plot_bgcolor": CLEAR,
            "font": {"family": FONT, "size": 12, "color": INK},
            "title": {"x": 0, "xanchor": "left", "font": {"size": 16}},
            "colorway": [mark.colour for mark in (*VARIANTS.values(), *OTHERS)],
            "xaxis": axis,
            "yaxis": axis,
            # Dark on any paper: a clear one would leave the curves shining through the text.
            "hoverlabel": {"bgcolor": "#262626", "bordercolor": "#262626", "font": hover_font},
            "modebar": {"bgcolor": CLEAR, "color": INK, "activecolor": "#0072B2"},
            "legend": {"bgcolor": CLEAR, "font": {"size": 12}},
            "margin": {"l": 64, "r": 16, "t": 48, "b": 48},
        }
    )


def titled(title: str, subtitle: str) -> dict[str, Any]:
    """Return the layout of a title with a subtitle, at the top of a figure."""
    below = {"text": plain(subtitle), "font": {"size": 12}}
    place = {"yref": "container", "y": 1, "yanchor": "top", "pad": {"t": 10}}
    return {"text": plain(title), "subtitle": below, **place}


def plain(text: object) -> str:
    """Return text that plotly shows as it stands, without reading its small HTML into it."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def empty(reason: str) -> go.Figure:
    """Return a figure that says in words why there is nothing to draw."""
    hidden = {"xaxis": {"visible": False}, "yaxis": {"visible": False}}
    figure = go.Figure(layout={"template": template(), "height": 120, **hidden})
    return figure.add_annotation(text=reason, showarrow=False, font={"size": 14})


def quiet() -> None:
    """Remove the upload button and the logo from figures in notebooks."""
    for name in ("plotly_mimetype", "notebook", "browser"):
        pio.renderers[name].config = {**(pio.renderers[name].config or {}), **CONFIG}
