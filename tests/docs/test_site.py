"""The site is plain files that lead to each other, and nowhere that is not there."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from resleak.analysis import claims_table

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def first() -> BeautifulSoup:
    """Return the first page, of two reports and the claims of one system."""
    made = runpy.run_path(str(ROOT / "docs" / "gallery.py"))
    entries = [
        made["Entry"]("24_sse.html", "What <fails>?", "It is **one**.", 900_000, 1.0),
        made["Entry"]("00_start.html", "Where to start?", "Here.", 500_000, 1.0),
    ]
    claims = claims_table.stored(ROOT / "data" / "captures" / "control")
    page = made["index"](entries, claims, {"control": "24_sse.html"})
    return BeautifulSoup(page, "html.parser")


def test_every_report_is_listed_with_its_answer(first):
    """The first page links each report, with what it answers and what it weighs, as text."""
    listed = first.main.find_all("li")
    assert [one.a["href"] for one in listed] == ["24_sse.html", "00_start.html"]
    assert [one.a.get_text() for one in listed] == ["What <fails>?", "Where to start?"]
    assert listed[0].b or listed[0].strong
    assert "900 kB" in listed[0].get_text()


def test_claims_lead_to_their_case(first):
    """The table of claims links each system to its report, and can be sorted."""
    table = first.main.find(class_="scroll").table
    assert table.find("a")["href"] == "24_sse.html"
    assert "do_nothing" in table.get_text()
    assert len(first.find_all("script", type=False)) == 1
