"""Result views of a panel, each computed when it is first shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

import ipywidgets as widgets

from resleak.errors import ResleakError
from resleak.report.execute import bundle

#: Captures of panels, relative to the folder of notebooks.
RUNS = "../captures"
#: Returns the contents of a view.
View = Callable[[], Iterable[object]]
_STYLE = """
.resleak-panel .widget-label { text-align: left; justify-content: flex-start; }
.resleak-panel .jupyter-widgets { margin-left: 0; }
.resleak-panel .jupyter-button:focus-visible, .resleak-panel .widget-toggle-button:focus-visible {
  outline: 2px solid currentColor; outline-offset: 1px; }
.resleak-panel .widget-html-content { line-height: 1.5; }
/* The front end marks widgets whose kernel is gone: nothing that they show can be used. */
.resleak-panel.jupyter-widgets-disconnected::before {
  content: "The kernel was restarted. To use this panel, run its cell again (Shift+Enter).";
  color: #D55E00; font-weight: 600; }
.resleak-panel.jupyter-widgets-disconnected > * { opacity: 0.5; pointer-events: none; }
.resleak-panel .jupyter-widgets-disconnected::before { content: none; }
"""


def line(message: str, *, alert: bool = False) -> str:
    """Return one line of text as HTML that a screen reader announces."""
    role, colour = ("alert", "color:#D55E00;font-weight:600") if alert else ("status", "")
    return f'<div role="{role}" style="line-height:1.5;{colour}">{escape(message)}</div>'


def in_words(error: Exception) -> str:
    """Return an error as one line; one that is not ours with its type."""
    message = " ".join(str(error).split())
    return message if isinstance(error, ResleakError) else f"{type(error).__name__}: {message}"


def output(data: dict[str, Any]) -> dict[str, Any]:
    """Return data by MIME type as an `Output` widget holds it."""
    return {"output_type": "display_data", "data": data, "metadata": {}}


class Results(widgets.VBox):  # type: ignore[misc]
    """Named views behind a row of buttons; a view that fails shows its error."""

    def __init__(self) -> None:
        self._views: dict[str, View] = {}
        self._outputs: dict[str, tuple[dict[str, Any], ...]] = {}
        self.names = widgets.ToggleButtons(options=[], style={"button_width": "auto"})
        self.place = widgets.Output()
        self.names.observe(lambda _: self._show(), names="value")
        super().__init__([self.names, self.place])
        self.layout.display = "none"

    def offer(self, views: Mapping[str, View]) -> None:
        """Show the first of these views, and offer the others; without any show nothing."""
        self._views, self._outputs = dict(views), {}
        self.names.options = list(views)
        self.names.value = next(iter(views), None)
        self.layout.display = None if views else "none"
        self._show()

    def _show(self) -> None:
        name = self.names.value
        if name in self._views and name not in self._outputs:
            try:
                contents = [bundle(value) for value in self._views[name]()]
            except Exception as error:  # a view that fails must not take the panel with it
                message = in_words(error)
                contents = [{"text/plain": message, "text/html": line(message)}]
            self._outputs[name] = tuple(map(output, contents))
        self.place.outputs = self._outputs.get(name, ())


class Page(widgets.VBox):  # type: ignore[misc]
    """A panel: its parts, a line with a message, and results; in a page without a kernel, text."""

    def __init__(self) -> None:
        self.results, self._message = Results(), widgets.HTML()
        super().__init__()
        self.add_class("resleak-panel")

    def _lay_out(self, *parts: Any) -> None:
        style = widgets.HTML(f"<style>{_STYLE}</style>", layout={"display": "none"})
        self.children = [style, *parts]

    def _say(self, message: str, *, alert: bool = False) -> None:
        self._message.value = line(message, alert=alert)

    def _command(self) -> str:
        return ""  # the same choice on the command line, where there is one

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """Return the widget and, for pages without a kernel, the choice."""
        live: dict[str, Any] = super()._repr_mimebundle_(**options) or {}
        html = f"<p>In JupyterLab this is a panel. {escape(repr(self))}</p>"
        if command := self._command():
            html += f"<p><code>{escape(command)}</code></p>"
        return {**live, "text/plain": repr(self), "text/html": html}
