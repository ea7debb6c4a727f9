"""The flame graph in a report and as a widget."""

from __future__ import annotations

import base64
import hashlib
import sys
from collections import Counter

import nbformat
import pytest
from bs4 import BeautifulSoup
from helpers import flames
from helpers.flames import EVIL

from resleak.errors import MissingPackageError
from resleak.figures import flamegraph
from resleak.figures.flame import MIME, page
from resleak.report import html_page


def shared(*payloads: object) -> BeautifulSoup:
    """Return the report of a notebook with these flame graphs."""
    book = nbformat.v4.new_notebook()
    outputs = [
        nbformat.v4.new_output("display_data", {MIME: payload, "text/html": "<b>not this</b>"})
        for payload in payloads
    ]
    book.cells = [nbformat.v4.new_code_cell("draw()", outputs=outputs)]
    return BeautifulSoup(html_page.Page(book).html(), "html.parser")


def test_a_report_has_the_script_once():
    """Two flame graphs share one script, allowed beside the page's own; no plotly comes along."""
    soup = shared(flamegraph(flames.service()).payload, flamegraph(flames.fixed()).payload)
    scripts = Counter(tag.get("type", "script") for tag in soup.find_all("script"))
    assert scripts == {"script": 2, "application/json": 2}
    policy = soup.find("meta", attrs={"http-equiv": True})["content"]
    own, script = [tag.string for tag in soup.find_all("script") if not tag.get("type")]
    digests = (hashlib.sha256(one.encode()).digest() for one in (own, script))
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    assert f"script-src {allowed};" in policy
    assert len(soup.select("div.resleak-flame table")) == 2
    assert "not this" not in soup.get_text()


@pytest.mark.parametrize(
    "payload",
    [None, 7, [], {}, {"table": 3}, {"table": {"head": [EVIL], "rows": [3, [EVIL, None]]}}],
)
def test_a_foreign_payload_breaks_no_report(payload):
    """Whatever another's notebook stores under this kind, the report is written and harmless."""
    soup = shared(payload)
    assert len(soup.select("div.resleak-flame")) == 1
    assert not soup.find_all("img")


def test_a_live_one_is_a_widget_of_the_same_script():
    """A widget carries the same script and data, and starts with nothing chosen."""
    widget = flamegraph(flames.service()).live()
    assert widget.selection == {}
    assert widget.payload["bdata"] == flamegraph(flames.service()).payload["bdata"]
    assert page.library() in widget._esm
    assert {"payload", "selection"} <= set(widget.keys)


def test_without_anywidget_it_says_what_to_install(monkeypatch):
    """Where anywidget is missing, the error names the extra that brings it."""
    monkeypatch.setitem(sys.modules, "anywidget", None)
    page._kind.cache_clear()
    with pytest.raises(MissingPackageError, match=r"\[live\]"):
        flamegraph(flames.service()).live()
