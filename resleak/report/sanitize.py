"""HTML of others made harmless: tags, attributes, styles and links that are known, and no more."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import bleach  # type: ignore[import-untyped]
from bleach.css_sanitizer import (  # type: ignore[import-untyped]
    ALLOWED_CSS_PROPERTIES,
    CSSSanitizer,
)
from bleach.html5lib_shim import Filter  # type: ignore[import-untyped]

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
#: Addresses that lead somewhere from any place, and places in the same page.
_LEADS = re.compile(r"(?:https?://|mailto:|#)", re.IGNORECASE)


def clean(html: str, links: Mapping[str, str] | None = None) -> str:
    """Return HTML with only harmless tags, attributes and styles left; the rest shows as text.

    Scripts and style sheets, such as those that pandas puts before each table, are left out.

    Parameters
    ----------
    html : str
        Of anyone.
    links : mapping of str to str, optional
        Where a relative link leads from the page; one that is not in it leads nowhere, and
        becomes text.
    """
    cleaner = bleach.Cleaner(
        tags=_TAGS,
        attributes=_allowed,
        protocols={"http", "https", "mailto", "data"},
        css_sanitizer=CSSSanitizer(allowed_css_properties=_STYLES),
        filters=[lambda source: _Links(source, links or {})],
    )
    return str(cleaner.clean(_UNSEEN.sub("", html)))


def _allowed(tag: str, name: str, value: str) -> bool:
    if name not in [*_ATTRIBUTES["*"], *_ATTRIBUTES.get(tag, [])]:
        return False
    return name != "src" or value.startswith("data:image/")


class _Links(Filter):  # type: ignore[misc]
    """Keeps links that lead somewhere, and takes the address from the others."""

    def __init__(self, source: Any, links: Mapping[str, str]) -> None:
        super().__init__(source)
        self._links = links

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for token in super().__iter__():
            if token.get("name") == "a" and token["type"] == "StartTag":
                token["data"] = dict(self._leading(token["data"]))
            yield token

    def _leading(self, data: Mapping[Any, str]) -> Iterator[tuple[Any, str]]:
        for (space, name), value in data.items():
            address = self._links.get(value, value)
            if name != "href" or value in self._links or _LEADS.match(address.strip()):
                yield (space, name), address
