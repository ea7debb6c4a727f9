"""Sanitize HTML: only known tags, attributes, styles and links are left."""

from __future__ import annotations

import re
from collections.abc import Mapping

import nh3

_TAGS = {
    "a", "abbr", "acronym", "b", "blockquote", "br", "caption", "code", "dd", "del", "details",
    "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "kbd", "li",
    "mark", "ol", "p", "pre", "progress", "s", "small", "span", "strong", "sub", "summary", "sup",
    "table", "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul",
}  # fmt: skip
_ATTRIBUTES = {
    "*": {"style", "title", "class", "id", "role", "aria-label"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    "details": {"open"},
    "progress": {"value", "max"},
    "ol": {"start"},
}
_STYLES = {
    "background", "background-color", "border", "border-bottom", "border-bottom-color",
    "border-collapse", "border-color", "border-left", "border-left-color", "border-radius",
    "border-right", "border-right-color", "border-top", "border-top-color", "clear", "color",
    "cursor", "display", "float", "font", "font-family", "font-size", "font-style", "font-variant",
    "font-weight", "gap", "grid-template-columns", "height", "letter-spacing", "line-height",
    "margin", "margin-bottom", "margin-left", "margin-right", "margin-top", "max-width",
    "min-width", "opacity", "overflow", "overflow-wrap", "overflow-x", "padding", "padding-bottom",
    "padding-left", "padding-right", "padding-top", "text-align", "text-decoration",
    "text-indent", "vertical-align", "white-space", "width",
}  # fmt: skip
#: Addresses that work from any folder, and anchors of the same page.
_ABSOLUTE = re.compile(r"(?:https?://|mailto:|#)", re.IGNORECASE)
#: A style that may load something, or is written with escapes to hide it.
_LOADS = re.compile(r"\\|url|image|@", re.IGNORECASE)


def clean(html: str, links: Mapping[str, str] | None = None) -> str:
    """Return HTML with only harmless tags, attributes, styles and links.

    Unknown tags go and their text stays; scripts and style sheets go with their content. `links`
    has the addresses of relative links; a relative link that is not in it becomes plain text.
    """
    addresses = links or {}

    def keep(tag: str, name: str, value: str) -> str | None:
        if name == "src":
            return value if value.startswith("data:image/") else None
        if name == "href":
            value = addresses.get(value, value)
            return value if value in addresses.values() or _ABSOLUTE.match(value) else None
        return None if name == "style" and _LOADS.search(value) else value

    return nh3.clean(
        html,
        tags=_TAGS,
        clean_content_tags={"script", "style"},
        attributes=_ATTRIBUTES,
        attribute_filter=keep,
        link_rel=None,
        url_schemes={"http", "https", "mailto", "data"},
        filter_style_properties=_STYLES,
    )
