"""The flame graph wherever it is shown: dark, narrow, on paper, in a report, in a notebook."""

from __future__ import annotations

import nbformat
import pytest
from helpers import flames
from helpers.flame_pages import DESK, HEAD, PHONE, ROW, Reader
from helpers.flames import EVIL
from helpers.pages import until
from playwright.sync_api import expect

from resleak.figures import flamegraph
from resleak.report import html_page

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("scheme", "bright"), [("dark", True), ("light", False)])
def test_text_stands_out_from_the_paper(opened, scheme, bright):
    """In the dark letters are bright, in the light dark; JupyterLab's own colours go first."""
    reader = opened(flamegraph(flames.service()), scheme=scheme)
    of = "node => getComputedStyle(node).color.match(/\\d+/g).slice(0, 3).map(Number)"
    for selector in (".whole", ".sites td", ".keys", ".controls label"):
        shade = sum(reader.page.locator(selector).first.evaluate(of))
        assert (shade > 450) == bright
    reader.page.evaluate(
        "document.documentElement.style.setProperty('--jp-content-font-color1', 'rgb(1, 2, 3)')"
    )
    expect(reader.page.locator(".sites td").first).to_have_css("color", "rgb(1, 2, 3)")


def test_on_a_phone_it_fits_and_a_tap_zooms(opened):
    """The page does not move sideways, and a finger does what a mouse does."""
    reader = opened(flamegraph(flames.service()), size=PHONE, has_touch=True)
    assert reader.page.evaluate("document.documentElement.scrollWidth") <= 390
    box = reader.canvas.bounding_box()
    reader.page.touchscreen.tap(box["x"] + 30, box["y"] + 3 * ROW + 5)
    assert reader.crumbs() == ["all growth", "main", "step", "load"]


def test_deep_stacks_scroll_in_their_box(opened):
    """A stack deeper than the box is reached by wheel and by keys; the box stays low."""
    rows = [(n - 1, f"f{n}", "app.py", False) for n in range(300)]
    reader = opened(flamegraph(flames.profile(rows, [(0, 299, 64.0, 1.0)], [0, 10])))
    box = reader.page.locator(".box")
    assert box.bounding_box()["height"] < 600
    box.hover()
    reader.page.mouse.wheel(0, 2000)
    scrolled = ".shadowRoot.querySelector('.box').scrollTop > 1000"
    until(reader.page, f"document.querySelector('.resleak-flame'){scrolled}")
    reader.press(*["ArrowDown"] * 45)
    assert reader.details.startswith("f44 ")
    assert reader.colour(0.5, 2)[3] == 255


def test_names_that_mean_harm_are_text(opened):
    """Markup in a name or a title is seen as it is written, and nothing of it comes alive."""
    rows = [(-1, EVIL, EVIL, True), (0, "long" * 200, "/".join(["deep"] * 80), False)]
    made = flames.profile(rows, [(0, 1, 64.0, 1.0)], [0, 10])
    reader = opened(flamegraph(made, title=EVIL), size=PHONE)
    assert EVIL in reader.text("h3")
    assert EVIL in reader.hover(0.5, 1)
    reader.click(0.5, 1)
    assert reader.crumbs()[-1] == EVIL
    assert reader.page.locator("img").count() == 0
    assert reader.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert reader.complaints == []


def test_two_on_one_page_do_not_disturb_each_other(opened):
    """Each flame graph answers for itself; a click in one leaves the other alone."""
    reader = opened(flamegraph(flames.service()), flamegraph(flames.fixed()))
    assert reader.page.locator("canvas").count() == 2
    reader.click(0.1, 3)
    wholes = reader.page.locator(".whole").all_inner_texts()
    assert len(set(wholes)) == 2
    second = reader.page.locator(".crumbs").nth(1).locator("button").all_inner_texts()
    assert second == ["all growth"]
    assert reader.complaints == []


def test_without_scripts_the_table_is_read(browser):
    """Where no script may run, the largest lines stand there, written by Python."""
    bundle = flamegraph(flames.service(), title="a service")._repr_mimebundle_()
    page = browser.new_page(java_script_enabled=False)
    page.set_content(bundle["text/html"])
    assert page.locator("td").first.inner_text() == "step"
    assert "20 B" in page.locator("tr").nth(1).inner_text()
    assert page.locator("canvas").count() == 0
    page.close()


def test_in_a_shared_report_it_works_under_the_policy(browser, tmp_path):
    """Two flame graphs of one script are drawn in a report, zoom, and break no rule of it."""
    book = nbformat.v4.new_notebook()
    bundles = [
        flamegraph(made, title=EVIL)._repr_mimebundle_()
        for made in (flames.service(), flames.fixed())
    ]
    outputs = [nbformat.v4.new_output("display_data", bundle) for bundle in bundles]
    book.cells = [nbformat.v4.new_code_cell("show()", outputs=outputs)]
    path = tmp_path / "report.html"
    path.write_text(html_page.Page(book).html(), encoding="utf-8")
    page = browser.new_page(viewport=DESK, color_scheme="dark")
    reader = Reader(page)
    reader.open(path)
    assert page.locator("canvas").count() == 2
    reader.click(0.1, 3)
    assert reader.crumbs() == ["all growth", "main", "step", "load"]
    page.wait_for_timeout(200)
    assert reader.complaints == []
    assert reader.requests == [path.as_uri()]
    page.close()


def test_on_paper_there_are_frames_and_no_controls(opened):
    """Printed, the controls are gone, letters are dark, and all of the frames are there."""
    reader = opened(flamegraph(flames.service()), scheme="dark")
    reader.page.emulate_media(media="print")
    assert not reader.page.locator(".controls").is_visible()
    assert reader.canvas.is_visible()
    expect(reader.page.locator(".sites td").first).to_have_css("color", "rgb(0, 0, 0)")
    assert reader.page.pdf().startswith(b"%PDF")


def test_what_cannot_be_read_leaves_the_table(opened, tmp_path):
    """Damaged data is said in words, and the table stays."""
    html = flamegraph(flames.service())._repr_mimebundle_()["text/html"]
    reader = opened(flamegraph(flames.service()))
    path = tmp_path / "damaged.html"
    path.write_text(HEAD + html.replace('"bdata":"H4sI', '"bdata":"AAAA'), encoding="utf-8")
    reader.page.goto(path.as_uri())
    reader.page.get_by_text("could not be drawn").wait_for()
    assert reader.page.locator("td").first.inner_text() == "step"


def test_a_click_in_a_live_one_reaches_python(browser, tmp_path):
    """The widget's own module draws it, and hands over the clicked frame with its window."""
    widget = flamegraph(flames.service()).live()
    page = browser.new_page(viewport=DESK)
    (tmp_path / "blank.html").write_text(HEAD, encoding="utf-8")
    page.goto((tmp_path / "blank.html").as_uri())
    page.evaluate(
        """async ([code, payload]) => {
          const kind = "data:text/javascript;charset=utf-8,";
          const module = await import(kind + encodeURIComponent(code));
          window.told = [];
          const set = (...pair) => window.told.push(pair);
          const model = { get: () => payload, set, save_changes() {} };
          document.body.replaceChildren(document.createElement("div"));
          module.default.render({ model, el: document.body.firstChild });
        }""",
        [widget._esm, widget.payload],
    )
    page.locator("canvas").wait_for()
    Reader(page).click(0.1, 3)
    ((name, told),) = page.evaluate("window.told")
    widget.set_state({name: told})
    assert widget.selection["function"] == "load"
    assert widget.selection["per_step"] == pytest.approx(20)
    assert widget.selection["window"] == [10, 210]
    again = flamegraph(flames.service(), selection=widget.selection)
    assert again.payload["selection"]["line"] == 7
    page.close()


def test_one_that_is_taken_away_is_let_go(opened):
    """Removed from the page, a flame graph is not kept in memory by what it listened to."""
    reader = opened(flamegraph(flames.service()))
    reader.click(0.1, 3)
    reader.page.evaluate(
        """() => {
          const host = document.querySelector(".resleak-flame");
          window.held = new WeakRef(host.shadowRoot.querySelector("canvas"));
          host.remove();
        }"""
    )
    reader.page.mouse.move(5, 5)
    session = reader.page.context.new_cdp_session(reader.page)
    for _ in range(20):
        session.send("HeapProfiler.collectGarbage")
        reader.page.wait_for_timeout(50)
        if reader.page.evaluate("window.held.deref() === undefined"):
            break
    assert reader.page.evaluate("window.held.deref() === undefined")
