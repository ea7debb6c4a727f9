"""Result views of a panel, each computed when it is first shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

import ipywidgets as widgets

from resleak.errors import ResleakError

#: Captures of panels, relative to the folder of notebooks.
RUNS = "../captures"
#: Returns the contents of a view.
Make = Callable[[], Iterable[object]]
_STYLE = """
.resleak-panel .widget-label { text-align: left; justify-content: flex-start; }
.resleak-panel .jupyter-widgets { margin-left: 0; }
.resleak-panel .jupyter-button:focus-visible, .resleak-panel .widget-toggle-button:focus-visible {
  outline: 2px solid currentColor; outline-offset: 1px; }
.resleak-panel .widget-html-content { line-height: 1.5; }
"""


def bundle(value: object) -> dict[str, Any]:
    """Return a value as a notebook would show it, by MIME type."""
    if hasattr(value, "_repr_mimebundle_"):
        return {"text/plain": type(value).__name__, **value._repr_mimebundle_()}
    told = {"text/html": "_repr_html_", "text/markdown": "_repr_markdown_"}
    shown = {kind: getattr(value, name)() for kind, name in told.items() if hasattr(value, name)}
    return {**shown, "text/plain": repr(value)}


def line(message: str, *, alert: bool = False) -> str:
    """Return one line of text as HTML that a screen reader announces."""
    role, colour = ("alert", "color:#D55E00;font-weight:600") if alert else ("status", "")
    return f'<div role="{role}" style="line-height:1.5;{colour}">{escape(message)}</div>'


def style() -> Any:
    """Return the style sheet of a panel."""
    return widgets.HTML(f"<style>{_STYLE}</style>", layout={"display": "none"})


class Results(widgets.VBox):  # type: ignore[misc]
    """Named views behind a row of buttons; a view that fails shows its error."""

    def __init__(self) -> None:
        self._views: dict[str, Make] = {}
        self._made: dict[str, tuple[dict[str, Any], ...]] = {}
        self._chosen = widgets.ToggleButtons(options=[], style={"button_width": "auto"})
        self._place = widgets.Output()
        self._chosen.observe(lambda _: self._show(), names="value")
        super().__init__([self._chosen, self._place])
        self.layout.display = "none"

    def offer(self, views: Mapping[str, Make]) -> None:
        """Show the first of these views, and offer the others."""
        self._views, self._made = dict(views), {}
        self._chosen.options = list(views)
        self._chosen.value = next(iter(views), None)
        self.layout.display = None if views else "none"
        self._show()

    def clear(self) -> None:
        """Show nothing."""
        self.offer({})

    @property
    def outputs(self) -> tuple[dict[str, Any], ...]:
        """What is shown."""
        return tuple(self._place.outputs)

    def choose(self, name: str) -> None:
        """Show the view of this name."""
        self._chosen.value = name

    def _show(self) -> None:
        name = self._chosen.value
        if name not in self._views:
            self._place.outputs = ()
            return
        if name not in self._made:
            self._made[name] = tuple(map(output, _made(self._views[name])))
        self._place.outputs = self._made[name]


def _made(make: Make) -> list[object]:
    try:
        return list(make())
    except ResleakError as error:
        return [Line(str(error))]
    except Exception as error:  # a view that fails must not take the panel with it
        return [Line(f"{type(error).__name__}: {error}")]


class Line:
    """One line of text."""

    def __init__(self, text: str) -> None:
        self.text = " ".join(text.split())

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return line(self.text)


def output(value: object) -> dict[str, Any]:
    """Return a value as an `Output` widget holds it."""
    return {"output_type": "display_data", "data": bundle(value), "metadata": {}}
