"""The look that all figures share: right on light and dark paper, and without colour alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
import plotly.io as pio

#: No upload button, no advertising; `use` hands it to the notebook's renderer.
CONFIG: dict[str, Any] = {
    "showSendToCloud": False,
    "displaylogo": False,
    "responsive": True,
    "modeBarButtonsToRemove": ["select2d", "lasso2d"],
}

#: The grey with the same contrast (4.4 : 1) on white as on JupyterLab's dark paper, #111111.
INK = "#797979"
GRID = "rgba(127, 127, 127, 0.22)"
SHADE = "rgba(127, 127, 127, 0.13)"
CLEAR = "rgba(0, 0, 0, 0)"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"


@dataclass(frozen=True)
class Mark:
    """How one variant is drawn everywhere: a colour and, for those who cannot tell it, a dash."""

    colour: str
    dash: str

    def fill(self, opacity: float = 0.18) -> str:
        """Return the colour as a translucent fill."""
        red, green, blue = (int(self.colour[i : i + 2], 16) for i in (1, 3, 5))
        return f"rgba({red}, {green}, {blue}, {opacity})"


#: Okabe and Ito's palette, which stays apart under the common colour vision deficiencies.
VARIANTS = {
    "leaky": Mark("#D55E00", "solid"),
    "proposed": Mark("#E69F00", "7px,2px"),
    "fixed": Mark("#009E73", "2px,3px"),
}
OTHERS = (
    Mark("#0072B2", "solid"),
    Mark("#CC79A7", "dashdot"),
    Mark("#56B4E9", "longdash"),
    Mark("#8C8C8C", "longdashdot"),
)

#: Frames of stacks, by what they are; each is light enough for black letters, on any paper, and
#: differs from the others in lightness too.
FRAMES = {
    "studied": "#E8731A",
    "passing": "#F6C9A4",
    "other": "#9CC4E4",
    "library": "#A4A9AE",
    "whole": "#D5D8DB",
    "grew": "#E8731A",
    "shrank": "#56B4E9",
    "same": "#D5D8DB",
    "least": "#FCEBDC",
}
LETTERS = "#111111"
#: Light enough for black letters, and apart from each other: the largest modules, then the rest.
MODULES = ("#E69F00", "#56B4E9", "#2FB792", "#F0E442", "#D79BBB", "#8FA8F0", "#C3A06B")


def marks(variants: list[str]) -> dict[str, Mark]:
    """Return a mark for each variant: its own for the usual three, others in turn.

    Parameters
    ----------
    variants : list of str
        Names in the order of drawing.

    Returns
    -------
    dict of str to Mark
    """
    rest = [name for name in variants if name not in VARIANTS]
    spare = {name: OTHERS[i % len(OTHERS)] for i, name in enumerate(rest)}
    return {name: VARIANTS.get(name) or spare[name] for name in variants}


def order(variants: list[str]) -> list[str]:
    """Return the names as people read them: the fault, the proposal, the cure, then the rest."""
    usual = [name for name in VARIANTS if name in variants]
    return usual + [name for name in variants if name not in VARIANTS]


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


def plotlyjs() -> str:
    """Return the source of plotly.js, for a page that must work without a network."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
