"""The look as plotly has it: a template, and what its renderers are told."""

from __future__ import annotations

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
            "hoverlabel": {
                "bgcolor": "#262626",
                "bordercolor": "#262626",
                "font": {"family": FONT, "color": "#F2F2F2", "size": 12},
            },
            "modebar": {"bgcolor": CLEAR, "color": INK, "activecolor": "#0072B2"},
            "legend": {"bgcolor": CLEAR, "font": {"size": 12}},
            "margin": {"l": 64, "r": 16, "t": 48, "b": 48},
        }
    )


def empty(reason: str) -> go.Figure:
    """Return a figure that says in words why there is nothing to draw."""
    figure = go.Figure(layout={"template": template(), "height": 120})
    figure.add_annotation(text=reason, showarrow=False, font={"size": 14})
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure


def use() -> None:
    """Make the template and the config this session's defaults, for figures of one's own too."""
    pio.templates["resleak"] = template()
    pio.templates.default = "resleak"
    quiet()


def quiet() -> None:
    """Take the upload button and the logo out of what notebooks show."""
    for name in ("plotly_mimetype", "notebook", "browser"):
        pio.renderers[name].config = {**(pio.renderers[name].config or {}), **CONFIG}
