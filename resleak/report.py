"""The page that a shared notebook becomes: sanitised, escaped, with a policy against all else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import bleach  # type: ignore[import-untyped]
from bleach.css_sanitizer import (  # type: ignore[import-untyped]
    ALLOWED_CSS_PROPERTIES,
    CSSSanitizer,
)
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]

from resleak import pages

_PLOTLY = "application/vnd.plotly.v1+json"
#: What the output of a flame graph is called in a notebook.
FLAME = "application/vnd.resleak.flame+json"
_FOLDER = Path(__file__).parent / "templates" / "report"
_TAGS = bleach.ALLOWED_TAGS | {
    "br", "caption", "dd", "del", "details", "div", "dl", "dt", "h1", "h2", "h3", "h4", "h5", "h6",
    "hr", "img", "kbd", "mark", "p", "pre", "progress", "s", "small", "span", "sub", "summary",
    "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "u",
}  # fmt: skip
_ATTRIBUTES = {
    "*": ["style", "title", "class", "id", "role", "aria-label"],
    "a": ["href"],
    "img": ["src", "alt", "width", "height"],
    "td": ["colspan", "rowspan"],
    "th": ["colspan", "rowspan", "scope"],
    "details": ["open"],
    "progress": ["value", "max"],
    "ol": ["start"],
}
_STYLES = ALLOWED_CSS_PROPERTIES | {
    "background", "border", "border-bottom", "border-collapse", "border-left", "border-radius",
    "border-right", "border-top", "margin", "margin-bottom", "margin-left", "margin-right",
    "margin-top", "max-width", "min-width", "opacity", "overflow-wrap", "overflow-x", "padding",
    "padding-bottom", "padding-left", "padding-right", "padding-top",
}  # fmt: skip
_UNSEEN = re.compile(r"<(style|script)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_LIGHT, _DARK = "default", "github-dark"
_USUAL_HEIGHT = 450


def render(book: Any, provenance: Sequence[tuple[str, str]]) -> str:
    """Return a notebook as one page of HTML that needs nothing else.

    Parameters
    ----------
    book : NotebookNode
        An executed notebook, already redacted.
    provenance : sequence of (str, str)
        What the footer says.

    Returns
    -------
    str
        With each script that draws once, and only if there is a figure of its kind.
    """
    page, _ = _exporter().from_notebook_node(
        book, resources=_resources(book, _title(book), provenance)
    )
    return str(page)


def _resources(book: Any, title: str, provenance: Sequence[tuple[str, str]]) -> dict[str, Any]:
    from resleak.figures._style import CONFIG

    drawn = {
        kind for c in book.cells for out in c.get("outputs", []) for kind in out.get("data", {})
    }
    scripts = _scripts(drawn)
    return {
        "report": {
            "title": title,
            "style": _style(),
            "scripts": scripts,
            "config": json.dumps(CONFIG) if _PLOTLY in drawn else "",
            "policy": pages.policy(scripts),
            "provenance": provenance,
        }
    }


def _scripts(drawn: set[str]) -> list[str]:
    from resleak.figures._style import plotlyjs
    from resleak.figures.flame import page

    boot = (_FOLDER / "boot.js").read_text(encoding="utf-8")
    plotly = [plotlyjs(), boot] if _PLOTLY in drawn else []
    return plotly + ([page.script()] if FLAME in drawn else [])


def _flame(payload: Any) -> str:
    from resleak.figures.flame import page

    return page.place(payload)


def _exporter() -> Any:
    from nbconvert import HTMLExporter  # takes longer than all that a page of outputs needs

    return HTMLExporter(  # type: ignore[no-untyped-call]
        template_name="report",
        extra_template_basedirs=[str(_FOLDER.parent)],
        exclude_anchor_links=True,
        filters=_FILTERS,
    )


def clean(html: str) -> str:
    """Return HTML with only harmless tags, attributes and styles left; the rest shows as text.

    Scripts and style sheets, such as those that pandas puts before each table, are left out.
    """
    return str(
        bleach.clean(
            _UNSEEN.sub("", html),
            tags=_TAGS,
            attributes=_allowed,
            protocols={"http", "https", "mailto", "data"},
            css_sanitizer=CSSSanitizer(allowed_css_properties=_STYLES),
        )
    )


def _allowed(tag: str, name: str, value: str) -> bool:
    if name not in [*_ATTRIBUTES["*"], *_ATTRIBUTES.get(tag, [])]:
        return False
    if name == "href":
        return not value.strip().lower().startswith("data:")
    return name != "src" or value.startswith("data:image/")


def figure_json(figure: Mapping[str, Any]) -> str:
    """Return a figure as JSON that cannot end the script element it stands in."""
    kept = {key: figure[key] for key in ("data", "layout", "frames") if key in figure}
    # JSON knows no NaN; browsers refuse the whole text for one.
    whole = json.loads(json.dumps(kept), parse_constant=lambda _: None)
    return json.dumps(whole, ensure_ascii=False).replace("<", "\\u003c")


def _figure_label(figure: Mapping[str, Any]) -> str:
    title = figure.get("layout", {}).get("title") or "figure"
    text = title.get("text") or "figure" if isinstance(title, Mapping) else title
    return re.sub(r"<[^>]*>", " ", str(text))


def _figure_height(figure: Mapping[str, Any]) -> int:
    return int(figure.get("layout", {}).get("height") or _USUAL_HEIGHT)


def _base64_only(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9+/=]", "", text)


def _title(book: Any) -> str:
    lines = (line for c in book.cells if c.cell_type == "markdown" for line in c.source.split("\n"))
    return next((line.lstrip("# ").strip() for line in lines if line.startswith("# ")), "Report")


def _style() -> str:
    own = (_FOLDER / "style.css").read_text(encoding="utf-8")
    light, dark = (
        HtmlFormatter(style=name, nobackground=True).get_style_defs(".highlight")
        for name in (_LIGHT, _DARK)
    )
    return f"{own}\n{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}\n"


_FILTERS = {
    "clean": clean,
    "figure_json": figure_json,
    "flame": _flame,
    "figure_label": _figure_label,
    "figure_height": _figure_height,
    "base64_only": _base64_only,
}
