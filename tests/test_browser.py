"""A report opened as its reader will: in a real browser, from the disk, without any network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import books
import pytest
from pages import Visitor, until

from resleak.share import share

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=alert(1)><script>alert(2)</script>"
#: A timeline of a climb, drawn from a trace made in the cell itself.
TIMELINE = """
import sys; sys.path.insert(0, {tests!r})
import traces as made; from resleak import figures, growth
trace = made.trace(made.ramp(1.0, noise=3)).assign(scenario={evil!r}, variant="leaky")
figures.timeline(trace, {{"count": made.COUNT}}, growth.judge(trace, {{"count": made.COUNT}}))
"""
TABLE = "figures.verdict_table(growth.judge(trace, {'count': made.COUNT}), all_rows=True)"
OWN = """
import plotly.graph_objects as go; from pathlib import Path
go.Figure(go.Bar(y=[3, 1], text=[{evil!r}, str(Path.home() / "secret")]), layout={{"title": "Own"}})
"""
#: Wide enough for a desk, and as narrow as a phone.
DESK, PHONE = (1200, 900), (390, 844)


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """Return a report with a timeline, a table and a figure that means harm."""
    folder = tmp_path_factory.mktemp("reports")
    tests = str(Path(__file__).parent)
    notebook = books.write(
        folder / "book.ipynb",
        f"# Does it draw? {EVIL}",
        TIMELINE.format(tests=tests, evil=EVIL),
        TABLE,
        OWN.format(evil=EVIL),
    )
    return share(notebook, folder / "book.html")


@dataclass
class Reader(Visitor):
    """A page that is being read, and what went wrong or out meanwhile."""

    def open(self, report: Path) -> None:
        self.visit(report)
        until(
            self.page,
            "[...document.querySelectorAll('.figure')].every(f => f.querySelector('.main-svg'))",
        )

    def colour(self, selector: str, of: str = "color") -> tuple[int, ...]:
        found = self.page.locator(selector).first
        told = found.evaluate(f"node => getComputedStyle(node).{of}")
        return tuple(int(part) for part in told.strip("rgba()").split(",")[:3])


@pytest.fixture(
    scope="module",
    params=[("light", DESK), ("dark", DESK), ("dark", PHONE)],
    ids=["light", "dark", "phone"],
)
def reader(browser: Browser, report: Path, request) -> Iterator[Reader]:
    scheme, (width, height) = request.param
    viewport = {"width": width, "height": height}
    page = browser.new_page(color_scheme=scheme, viewport=viewport)
    reading = Reader(page)
    reading.open(report)
    yield reading
    page.close()


def test_every_figure_is_drawn(reader):
    """All figures have lines or bars of real size, on desk and phone, light and dark."""
    places = reader.page.locator(".figure")
    assert places.count() == 2
    for drawn in (".figure .js-line", ".figure .bars .point"):
        boxes = [node.bounding_box() for node in reader.page.locator(drawn).all()]
        assert max(box["width"] * box["height"] for box in boxes if box) > 1000
    sizes = [places.nth(n).locator(".main-svg").first.bounding_box() for n in range(2)]
    assert all(size["width"] > 300 and size["height"] > 150 for size in sizes)


def test_nothing_is_asked_of_the_network(reader, report):
    """The file alone is read, and the browser has nothing to complain about."""
    reader.page.wait_for_timeout(300)
    assert reader.requests == [report.as_uri()]
    assert reader.complaints == []


def test_what_means_harm_does_nothing(reader):
    """No handler or script from a title or a label comes alive, and no dialog opens."""
    assert reader.page.locator("[onerror], img[src]").count() == 0
    assert reader.page.locator("script:not([type])").count() == 2
    assert reader.complaints == []


def test_text_stands_out_from_the_paper(reader):
    """Headings, axis labels and verdicts are bright on dark paper and dark on bright paper."""
    paper = sum(reader.colour("body", "backgroundColor"))
    for selector, of in (("h1", "color"), (".figure .xtick text", "fill"), ("td", "color")):
        assert abs(sum(reader.colour(selector, of)) - paper) > 400


def test_code_shows_when_asked_for(reader):
    """The switch shows all code at once, and hides it again."""
    code, switch = reader.page.locator(".code").first, reader.page.locator("#show-code")
    assert not code.is_visible()
    switch.check()
    assert code.is_visible()
    switch.uncheck()
    assert not code.is_visible()


def test_the_page_does_not_move_sideways(reader):
    """Whatever is too wide scrolls in its own place; the page itself never does."""
    assert reader.page.evaluate(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )


def test_no_button_sends_a_figure_away(reader):
    """The tools over a figure offer no upload and carry no logo."""
    buttons = reader.page.locator(".modebar-btn")
    titles = [button.get_attribute("data-title") or "" for button in buttons.all()]
    assert any("PNG" in title for title in titles)
    assert not [title for title in titles if "hare" in title or "cloud" in title.lower()]
    assert reader.page.locator(".plotlyjsicon").count() == 0


def test_hovering_tells_the_value(reader):
    """Over a curve, the step and the value with its unit are shown."""
    plot = reader.page.locator(".figure .nsewdrag").first
    plot.scroll_into_view_if_needed()
    plot.hover()
    label = reader.page.locator(".hoverlayer")
    label.locator("text").first.wait_for()
    told = " ".join(label.locator("text").all_text_contents())
    assert "step" in told
    assert "entries" in told
    assert min(reader.colour(".hoverlayer .legendtext", "fill")) > 200


def test_private_paths_are_in_no_label(reader):
    """What is drawn is redacted as well as what is written."""
    assert str(Path.home() / "secret") not in reader.page.content()
    assert "[path]" in reader.page.locator(".figure").nth(1).inner_text()


def test_on_paper_all_of_it_fits(browser, report):
    """Printed, figures take the paper's width, and ink is dark even if the screen was not."""
    page = browser.new_page(color_scheme="dark", viewport={"width": 1200, "height": 900})
    reading = Reader(page)
    reading.open(report)
    page.set_viewport_size({"width": 700, "height": 900})
    page.emulate_media(media="print", color_scheme="dark")
    page.wait_for_timeout(500)
    assert page.locator(".figure .main-svg").first.bounding_box()["width"] <= 700
    assert sum(reading.colour("h1")) < 200
    assert page.pdf().startswith(b"%PDF")
    page.close()
