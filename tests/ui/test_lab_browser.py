"""JupyterLab itself, in a real browser: the first notebook on every push, the panels at night."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from helpers import labs
from helpers.labs import Desk, Lab

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

_SIZE = {"width": 1400, "height": 1300}


@pytest.fixture(scope="session")
def lab(project, tmp_path_factory) -> Iterator[Lab]:
    """Start one server for all tests of this file."""
    with labs.serving(project, tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="module")
def start(browser: Browser, lab: Lab) -> Iterator[Desk]:
    """Open the first notebook under a dark system and run all of it."""
    desk = Desk(lab, browser.new_page(color_scheme="dark", viewport=_SIZE))
    desk.open("00_start_here.ipynb")
    desk.run_all()
    yield desk
    desk.page.close()


@pytest.fixture(scope="module")
def panels(browser: Browser, lab: Lab) -> Iterator[Desk]:
    """Open a notebook with both panels, whose cells have run."""
    desk = Desk(lab, browser.new_page(color_scheme="light", viewport=_SIZE))
    desk.open_panel()
    yield desk
    desk.page.close()


def test_the_first_notebook_runs_and_is_drawn(start):
    """Run All ends without an error, with curves, verdicts and a flame graph on the page."""
    for what in (".js-plotly-plot .main-svg", "table", ".resleak-flame canvas"):
        start.bring(what)
        assert start.book.locator(what).first.bounding_box()["width"] > 200
    assert start.book.locator(".jp-RenderedText[data-mime-type*='error']").count() == 0


def test_dark_stays_dark(start):
    """Under a dark system the paper is dark, and the text of tables and figures stands out."""
    start.bring("td")
    assert start.brightness(".jp-Notebook", "backgroundColor") < 200
    assert start.brightness("td", "color") > 500
    start.bring(".js-plotly-plot .ytick text")
    assert start.brightness(".js-plotly-plot .ytick text", "fill") > 250


def test_nothing_of_the_first_notebook_leaves_the_machine(start):
    """No request goes elsewhere, and the console has no complaint."""
    assert start.elsewhere == []
    assert start.complaints == []


@pytest.mark.nightly
def test_a_run_that_is_stopped_keeps_its_curves(panels):
    """Stop midway ends the run; what was read is judged and drawn, and Run can be pressed again."""
    panels.number("runs", 50)
    panels.press(labs.RUN)
    panels.seen(".resleak-panel polyline")
    panels.press(labs.STOP)
    panels.seen("text=Stopped after")
    panels.seen(".resleak-panel .js-plotly-plot .main-svg")
    assert panels.book.locator(labs.RUN).is_enabled()


@pytest.mark.nightly
def test_a_run_ends_with_a_verdict_and_a_flame_graph(panels):
    """By keyboard alone: Run draws curves, then says what leaks and which line it is."""
    panels.number("runs", 1)
    panels.number("steps", 60)
    panels.book.get_by_label("fixed", exact=True).uncheck()
    panels.book.locator(labs.RUN).focus()
    panels.page.keyboard.press("Enter")
    panels.seen("text=Running:")
    panels.seen("text=Done:")
    panels.seen(".resleak-panel >> text=leaks")
    panels.press(".resleak-panel button:has-text('Memory')")
    panels.seen(".resleak-panel .resleak-flame canvas")
    panels.seen(".resleak-panel >> text=of the growth")
    told = panels.book.locator(".resleak-panel").first.inner_text()
    assert "from resleak/scenarios/arc/auth_cache.py:59 in verify" in told


@pytest.mark.nightly
def test_searching_narrows_the_list(panels):
    """Typing words leaves the scenarios that have them; choosing one shows its own variants."""
    panels.book.get_by_label("Search").first.fill("deadlock hang")
    options = ".resleak-matches option"
    # Before the list is narrower, a choice would be made in the one that is about to go.
    panels.gone(f"{options} >> text=arc/auth_cache")
    panels.seen(f"{options} >> text=arc/pool_deadlock")
    panels.book.locator(".resleak-matches select").select_option("arc/pool_deadlock")
    panels.seen("text=leaky_callers_give_up")
    assert panels.book.locator(options).count() < 5


@pytest.mark.nightly
def test_two_captures_are_compared(panels):
    """Compare shows each gauge before and after, and the difference as a flame graph."""
    panels.press(".resleak-panel .jupyter-button:has-text('Compare')")
    panels.seen(certificate := ".resleak-panel td:has-text('within ±')")
    panels.page.set_viewport_size({"width": 900, "height": 900})
    cell = panels.book.locator(certificate).first.bounding_box()
    panel = panels.book.locator(".resleak-panel").nth(1).bounding_box()
    assert cell["x"] + cell["width"] <= panel["x"] + panel["width"]
    panels.page.set_viewport_size(_SIZE)
    panels.press(".resleak-panel >> nth=1 >> button:has-text('Memory')")
    panels.seen(".resleak-panel >> nth=1 >> .resleak-flame canvas")
    told = panels.book.locator(".resleak-panel").nth(1).inner_text()
    assert "arc/auth_cache leaky → arc/auth_cache fixed" in told


@pytest.mark.nightly
def test_nothing_of_the_panels_leaves_the_machine(panels):
    """No request goes elsewhere, and the console has no complaint."""
    assert panels.elsewhere == []
    assert panels.complaints == []


@pytest.mark.nightly
def test_a_panel_says_that_its_kernel_is_gone(panels):
    """After a restart the panel says what to do and takes no clicks; its cell brings it back."""
    panels.restart()
    panels.seen(".resleak-panel.jupyter-widgets-disconnected")
    panel = panels.book.locator(".resleak-panel").first
    message = panel.evaluate("node => getComputedStyle(node, '::before').content")
    assert "run its cell again" in message
    clicks = panels.book.locator(labs.RUN).evaluate("node => getComputedStyle(node).pointerEvents")
    assert clicks == "none"
    panels.run_all()
    panels.gone(".resleak-panel.jupyter-widgets-disconnected")
    panels.seen(labs.RUN)
