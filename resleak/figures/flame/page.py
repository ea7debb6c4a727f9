"""The script that draws flame graphs, and the HTML it draws them into."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from resleak.errors import missing
from resleak.figures import style as _style
from resleak.figures.html_table import table
from resleak.formatting import note, right

_FOLDER = Path(__file__).parent
_MODULES = ("data", "model", "trees", "view", "panels", "telling", "figure")
_IMPORT = re.compile(r"^import \{[^}]*\} from \"[^\"]*\";\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:const|function|class) )", re.MULTILINE)

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


@cache
def library() -> str:
    """Return everything that draws, as one script without imports and exports."""
    palette = {**_style.FRAMES, "letters": _style.LETTERS, "modules": _style.MODULES}
    style = (_FOLDER / "flame.css").read_text(encoding="utf-8")
    look = f"const CSS = {json.dumps(style)};\nconst PALETTE = {json.dumps(palette)};\n"
    sources = ((_FOLDER / f"{name}.mjs").read_text(encoding="utf-8") for name in _MODULES)
    return look + "".join(_EXPORT.sub("", _IMPORT.sub("", source)) for source in sources)


def script() -> str:
    """Return the script that draws every flame graph of its page; it may run more than once."""
    return f'(() => {{\n"use strict";\n{library()}drawAll();\n}})();'


def place(payload: Any) -> str:
    """Return where a flame graph is drawn, with its data, and a table for where no script runs.

    The payload is that of `Flame`; of someone else's notebook it may be anything.
    """
    content = payload if isinstance(payload, Mapping) else {}
    title, empty = content.get("title"), content.get("empty")
    head = f"<p><b>{escape(str(title))}</b></p>" if title else ""
    body = note(str(empty)) if empty else _table(content.get("table"))
    html = f'<div class="resleak-flame">{head}{body}</div>'
    if empty:
        return html
    # JSON without NaN that cannot end the script element it stands in.
    data = json.loads(json.dumps(packed_strings(content)), parse_constant=lambda _: None)
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return f'{html}<script type="application/json">{text}</script>'


def _table(content: Any) -> str:
    match content:
        case {"head": [*head], "rows": [*rows]}:
            lines = [row if isinstance(row, list) else [row] for row in (head, *rows)]
            cells = [[*line[:2], *map(right, line[2:])] for line in lines]
            return table(cells[0], cells[1:])
    return ""


def packed(data: bytes) -> str:
    """Return bytes compressed and in base64, the same each time."""
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()


def packed_strings(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a payload with its names compressed too, for where nobody has to read them."""
    if not isinstance(payload.get("strings"), list):
        return dict(payload)
    names = json.dumps(payload["strings"], ensure_ascii=False).encode("utf-8", "replace")
    rest = {key: value for key, value in payload.items() if key != "strings"}
    return rest | {"packed": packed(names)}


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
