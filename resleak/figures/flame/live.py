"""The flame graph as a widget: what is clicked can be read back into Python."""

from __future__ import annotations

from functools import cache
from typing import Any

from resleak.errors import missing
from resleak.figures.flame.page import library, packed_strings

_RENDER = """
export default {
  render({ model, el }) {
    const host = document.createElement("div");
    el.append(host);
    draw(host, model.get("payload"), (selection) => {
      model.set("selection", selection);
      model.save_changes();
    });
  },
};
"""


def widget(payload: dict[str, Any]) -> Any:
    """Return a widget that draws a payload; MissingPackageError if anywidget is not installed."""
    return _kind()(payload=packed_strings(payload))


@cache
def _kind() -> type[Any]:
    try:
        import anywidget
        import traitlets
    except ImportError:
        raise missing("a live flame graph needs anywidget", "live") from None

    class LiveFlame(anywidget.AnyWidget):
        _esm = library() + _RENDER
        payload = traitlets.Dict().tag(sync=True)
        selection = traitlets.Dict().tag(sync=True)

    return LiveFlame
