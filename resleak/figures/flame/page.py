"""The script that draws flame graphs, and the HTML it draws them into."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from resleak.figures import _style
from resleak.figures.flame.encode import packed_strings
from resleak.figures.table import note, right, table, text

_FOLDER = Path(__file__).parent
_MODULES = ("model", "view", "panels", "figure")
_IMPORT = re.compile(r"^import \{[^}]*\} from \"[^\"]*\";\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:const|function|class) )", re.MULTILINE)


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


def html(payload: Mapping[str, Any]) -> str:
    """Return a flame graph as HTML that needs nothing else."""
    if payload["empty"]:
        return fallback(payload)
    return f"{host(payload)}<script>{script()}</script>"


def host(payload: Mapping[str, Any]) -> str:
    """Return the place of a flame graph, with its table for where no script runs, and its data."""
    data = f'<script type="application/json">{safe_json(packed_strings(dict(payload)))}</script>'
    return f'<div class="resleak-flame">{fallback(payload)}</div>{data}'


def fallback(payload: Mapping[str, Any]) -> str:
    """Return title and table as HTML; both may come from others, and may hold anything."""
    title = payload.get("title")
    parts = [f"<p><b>{escape(str(title))}</b></p>"] if title else []
    if payload.get("empty"):
        return "".join([*parts, note(str(payload["empty"]))])
    told = payload.get("table") or {}
    rows = [[*map(text, row[:2]), *map(right, row[2:])] for row in told.get("rows", [])]
    return "".join([*parts, table([text(name) for name in told.get("head", [])], rows)])


def safe_json(value: Any) -> str:
    """Return JSON that cannot end the script element it stands in."""
    whole = json.loads(json.dumps(value), parse_constant=lambda _: None)
    return json.dumps(whole, separators=(",", ":")).replace("<", "\\u003c")
