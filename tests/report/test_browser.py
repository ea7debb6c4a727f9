"""A report opened as its reader will: in a real browser, from the disk, without any network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers import books
from helpers.pages import Visitor, until

import resleak
from resleak.report.share import share

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=alert(1)><script>alert(2)</script>"
#: A timeline of a climb, drawn from a trace made in the cell itself.
TIMELINE = """
import sys; sys.path.insert(0, {tests!r})
from helpers import traces as made
from resleak import figures; from resleak.analysis import growth
trace = made.trace(made.ramp(1.0, noise=3)).assign(scenario={evil!r}, variant="leaky")
figures.timeline(trace, {{"count": made.COUNT}}, growth.judge(trace, {{"count": made.COUNT}}))
"""
TABLE = "figures.verdict_table(growth.judge(trace, {'count': made.COUNT}), all_rows=True)"
OWN = """
import plotly.graph_objects as go; from pathlib import Path
go.Figure(go.Bar(y=[3, 1], text=[{evil!r}, str(Path.home() / "secret")]), layout={{"title": "Own"}})
"""
#: What a report sums up first, and takes along.
JUDGED = """
import resleak; captures = resleak.load({captures!r})
judged = resleak.judge(captures)
figures.flamegraph(resleak.profile(captures.select(variant="leaky")), title="What stays")
"""
#: Wide enough for a desk, and as narrow as a phone.
DESK, PHONE = (1200, 900), (390, 844)


@pytest.fixture(scope="module")
def report(tmp_path_factory, project) -> Path:
    """Return a report with a timeline, tables, a flame graph and a figure that means harm."""
    folder = tmp_path_factory.mktemp("reports")
    tests = str(Path(__file__).parents[1])
    notebook = books.write(
        folder / "book.ipynb",
        f"# Does it draw? {EVIL}",
        TIMELINE.format(tests=tests, evil=EVIL),
        TABLE,
        OWN.format(evil=EVIL),
        JUDGED.format(captures=str(project / "data" / "captures" / "arc" / "auth_cache")),
        "figures.verdict_table(judged.frame, all_rows=True)",
        "from resleak.analysis import budgets; display(figures.verdict_table(judged.frame))\n"
        "figures.budget_table(budgets.check(judged, captures, budgets.read(None)))",
    )
    return share(notebook, folder / "book.html")


@dataclass
class Reader(Visitor):
    """A page that is being read, and what went wrong or out meanwhile."""

    def open(self, report: Path) -> None:
        self.visit(report)
        until(
            self.page,
            "document.documentElement.dataset.height > 0",
        )

    def column(self, table: int, head: str) -> list[str]:
        """Return what stands in a column of a table, of the rows that are shown."""
        rows = self.page.locator("main .scroll table").nth(table)
        heads = rows.locator("thead th").all_inner_texts()
        at = next(n for n, text in enumerate(heads) if head in text.replace("\n", " "))
        shown = rows.locator("tbody tr:visible").all()
        return [row.locator("td").nth(at).inner_text() for row in shown]

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
    assert (
        reader.page.locator("[onerror], img[src]:not(.on-paper, .cause > [src^='data:'])").count()
        == 0
    )
    assert reader.page.locator("script:not([type])").count() == 3
    assert reader.complaints == []


def test_text_stands_out_from_the_paper(reader):
    """Headings, axis labels and verdicts are bright on dark paper and dark on bright paper."""
    paper = sum(reader.colour("body", "backgroundColor"))
    for selector, of in (("h1", "color"), (".figure .xtick text", "fill"), ("td", "color")):
        assert abs(sum(reader.colour(selector, of)) - paper) > 400


def test_the_summary_stands_first(reader):
    """Verdict, number, line and what to do stand below the title, and can be copied as Markdown."""
    summary = reader.page.locator(".brief")
    assert "leaks: heap grows by" in summary.inner_text()
    assert "resleak/scenarios/arc/auth_cache.py:59" in summary.inner_text()
    assert summary.bounding_box()["y"] < 500
    summary.get_by_role("button", name="Copy as Markdown").click()
    until(reader.page, "document.getElementById('copy').textContent === 'Copied'")
    text = reader.page.locator("#summary-text").text_content()
    assert "### `arc/auth_cache`: leak, claim reproduced, fixed holds" in text
    assert "- To do: Take `fixed`: it holds." in text
    assert "Run again: `resleak share book.ipynb -o book.html`" in text


def test_a_table_is_sorted_by_its_head(reader):
    """A press on a head, by key too, sorts by the size of numbers in their units, then turns."""
    sort = reader.page.locator("main .scroll table").nth(1).get_by_role("button", name="peak")
    head = sort.locator("xpath=..")
    sort.focus()
    sort.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    peaks = reader.column(1, "peak")
    assert [p for p in peaks if "MiB" in p] == peaks[: len([p for p in peaks if "MiB" in p])]
    assert len(set(reader.column(1, "gauge"))) > 5
    sort.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert reader.column(1, "peak")[-1] == peaks[0]


def test_a_table_is_filtered_by_words(reader):
    """Only rows with all the words are shown, how many is told, and all come back."""
    field = reader.page.get_by_role("searchbox", name="filter rows").first
    field.fill("leaky entries")
    assert reader.column(1, "variant") == ["■\xa0leaky"]
    assert "1 of" in reader.page.locator(".filter output").first.inner_text()
    field.fill("")
    assert len(reader.column(1, "variant")) > 10


def test_a_flame_graph_is_searched_and_zoomed(reader):
    """A search tells the share of what it finds; a press goes into a frame, Reset comes back."""
    flame = reader.page.locator(".resleak-flame")
    flame.get_by_role("searchbox").fill("verify")
    until(reader.page, "document.querySelector('.resleak-flame').shadowRoot"
                       ".querySelector('.share').textContent.includes('%')")  # fmt: skip
    crumbs = flame.locator(".crumbs")
    flame.locator("canvas").click(position={"x": 60, "y": 30})
    assert "serve" in crumbs.inner_text()
    flame.get_by_role("button", name="Reset").click()
    assert "serve" not in crumbs.inner_text()


@pytest.mark.parametrize("width", [1200, 390])
def test_nothing_jumps_while_it_is_drawn(browser, report, width):
    """What is read first does not move when tables and figures come to life."""
    page = browser.new_page(viewport={"width": width, "height": 844})
    page.add_init_script(
        "window.moved = 0; new PerformanceObserver(list => list.getEntries()"
        ".forEach(e => { moved += e.value })).observe({type: 'layout-shift', buffered: true})"
    )
    Reader(page).open(report)
    assert page.evaluate("moved") < 0.1
    page.close()


def test_the_captures_in_it_can_be_loaded(report):
    """A report that is sent is judged by whoever gets it, as its sender did."""
    judged = resleak.judge(resleak.load(report))
    assert judged.variants["leaky"].verdict == "leak"


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
    folded = page.locator("details:not([open]) table")
    is_within = "el => !!el.closest('.resleak-unprinted')"
    kinds = {table.evaluate(is_within): table.is_visible() for table in folded.all()}
    assert kinds == {False: True, True: False}  # what is within budget is one line
    assert page.pdf().startswith(b"%PDF")
    page.close()
