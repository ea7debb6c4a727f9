"""The flame graph as people use it: in a real browser, from the disk, without any network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from helpers import flames
from helpers.flames import EVIL
from helpers.pages import Visitor, until
from playwright.sync_api import expect

from resleak.figures import Flame, flamegraph
from resleak.report import html_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = pytest.mark.browser

#: Wide enough for a desk, and as narrow as a phone.
DESK, PHONE = {"width": 1200, "height": 900}, {"width": 390, "height": 844}
#: A page that is dark where its reader wants it to be.
HEAD = (
    '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    '<meta name="color-scheme" content="light dark">'
)
#: Height of a row of frames, in pixels.
_ROW = 20


@dataclass
class Reader(Visitor):
    """A page with flame graphs that is being read, and what went wrong or out meanwhile."""

    def open(self, path: Path) -> None:
        self.visit(path)
        until(
            self.page, "[...document.querySelectorAll('.resleak-flame')].every(f => f.shadowRoot)"
        )

    @property
    def canvas(self) -> Locator:
        return self.page.locator("canvas").first

    @property
    def whole(self) -> str:
        return self.text(".whole")

    @property
    def details(self) -> str:
        return " ".join(self.page.locator(".details").first.inner_text().split())

    def text(self, selector: str) -> str:
        return self.page.locator(selector).first.inner_text()

    def crumbs(self) -> list[str]:
        return self.page.locator(".crumbs").first.locator("button").all_inner_texts()

    def click(self, part: float, row: int, **how: Any) -> None:
        """Click a row, at this part of the width."""
        box = self.canvas.bounding_box()
        self.canvas.click(position={"x": box["width"] * part, "y": row * _ROW + 10}, **how)

    def hover(self, part: float, row: int) -> str:
        box = self.canvas.bounding_box()
        self.canvas.hover(position={"x": box["width"] * part, "y": row * _ROW + 10})
        return self.text(".tip")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.canvas.press(key)

    def colour(self, part: float, row: int) -> list[int]:
        """Return the painted colour at the left of a row's middle, without letters."""
        code = """(canvas, [part, y]) => {
          const ratio = devicePixelRatio;
          const pen = canvas.getContext("2d");
          return [...pen.getImageData(part * canvas.width, y * ratio, 1, 1).data];
        }"""
        return self.canvas.evaluate(code, [part, row * _ROW + 3])

    def rows(self) -> list[list[str]]:
        table = self.page.locator(".sites tbody tr").all()
        return [row.locator("td").all_inner_texts() for row in table]

    def choose(self, name: str, label: str) -> None:
        self.page.locator(".controls label", has_text=name).locator("select").select_option(
            label=label
        )


Open = Callable[..., Reader]


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Return a function that opens flame graphs, one below the other."""
    pages: list[Page] = []

    def open_them(*shown: Flame, scheme: str = "light", size: Any = DESK, **more: Any) -> Reader:
        path = tmp_path / f"{len(pages)}.html"
        parts = [flame._repr_mimebundle_()["text/html"] for flame in shown]
        path.write_text(HEAD + "".join(parts), encoding="utf-8")
        page = browser.new_page(color_scheme=scheme, viewport=size, **more)
        pages.append(page)
        reader = Reader(page)
        reader.open(path)
        return reader

    yield open_them
    for page in pages:
        page.close()


@pytest.fixture
def reader(opened: Open) -> Reader:
    """Open the small service: 33 B/step, of which ``main`` has 31.5."""
    return opened(flamegraph(flames.service(), title="a service"))


def test_it_opens_from_the_disk_without_a_word(reader):
    """The file alone is read, the browser complains of nothing, and all growth is told."""
    assert [Path(url).name for url in reader.requests] == ["0.html"]
    assert reader.complaints == []
    assert "a service" in reader.text("h3")
    assert "all growth 33 B/step" in reader.whole
    assert "step 10 to step 210" in reader.whole


def test_frames_stand_below_their_callers_as_wide_as_their_growth(reader):
    """The widest is first; below it what it calls; hovering tells function, place and numbers."""
    told = reader.hover(0.2, 1)
    for part in ("main", "app.py:7", "31.5 B/step", "95.5 % of all growth", "self 0 B/step"):
        assert part in told
    assert "step" in reader.hover(0.2, 2)
    assert "load" in reader.hover(0.1, 3)
    assert "decode" in reader.hover(0.1, 4)
    assert "_call" in reader.hover(0.99, 1)
    assert "6.45 KiB in all" in reader.hover(0.5, 0)


def test_studied_other_and_library_frames_differ(reader):
    """Three kinds of code have three colours."""
    colours = {tuple(reader.colour(0.1, row)) for row in (1, 2, 3)}
    assert len(colours) == 3


def test_a_click_zooms_and_each_way_back_goes_back(reader):
    """The clicked frame takes the whole width, its callers stand above; four ways lead back."""
    for back in ("Escape", "Backspace", "button", "menu"):
        reader.click(0.1, 3)
        assert reader.crumbs() == ["all growth", "main", "step", "load"]
        assert "load" in reader.hover(0.95, 0)
        if back == "button":
            reader.page.get_by_role("button", name="Back").click()
        elif back == "menu":
            reader.click(0.5, 0, button="right")
        else:
            reader.press(back)
        assert reader.crumbs() == ["all growth"]


def test_a_crumb_leads_to_a_caller(reader):
    """A caller in the row of crumbs becomes the widest; Reset shows all again."""
    reader.click(0.1, 4)
    reader.page.locator(".crumbs button", has_text="main").click()
    assert reader.crumbs() == ["all growth", "main"]
    reader.page.get_by_role("button", name="Reset").click()
    assert reader.crumbs() == ["all growth"]


def test_arrow_keys_walk_and_enter_zooms(reader):
    """Down to what is called, right to the sibling, up to the caller; the choice is announced."""
    reader.press("ArrowDown", "ArrowDown")
    assert reader.details.startswith("step app/cache.py:7")
    reader.press("ArrowRight")
    assert reader.details.startswith("other helper.py:7")
    reader.press("ArrowLeft", "ArrowDown", "ArrowRight")
    assert reader.details.startswith("put")
    reader.press("ArrowUp")
    assert reader.details.startswith("step")
    reader.press("Enter")
    assert reader.crumbs() == ["all growth", "main", "step"]
    assert reader.page.locator(".details").get_attribute("role") == "status"


def test_search_tells_the_share_and_dims_the_rest(reader):
    """After a slash one types; what matches counts once, and everything else fades."""
    plain = reader.colour(0.99, 1)
    reader.press("/")
    reader.page.keyboard.type("json")
    assert reader.text(".share") == "65.2 % of all growth"
    assert reader.page.locator(".share").get_attribute("role") == "status"
    assert reader.colour(0.99, 1) != plain
    reader.page.keyboard.press("Control+a")
    reader.page.keyboard.type("/^(step|put)$/")
    assert reader.text(".share") == "90.9 % of all growth"
    reader.page.keyboard.press("Control+a")
    reader.page.keyboard.type("/(/")
    assert reader.text(".share") == "not a pattern"


def test_leaf_first_turns_every_stack_round(reader):
    """Inverted, the frames that allocated stand on top, and below them who called."""
    reader.choose("show", "leaf first")
    assert "decode" in reader.hover(0.1, 1)
    assert "65.2 %" in reader.hover(0.1, 1)
    assert "load" in reader.hover(0.1, 2)
    assert "main" in reader.hover(0.1, 4)


def test_a_sandwich_has_callers_above_and_callees_below(reader):
    """Of one frame, wherever it is: all callers merged above, all it calls below."""
    reader.click(0.1, 3)
    reader.choose("show", "selected frame")
    assert reader.crumbs() == ["all growth", "load"]
    assert "main" in reader.hover(0.1, 0)
    assert "step" in reader.hover(0.1, 1)
    assert "other" in reader.hover(0.97, 1)
    assert "load" in reader.hover(0.5, 2)
    assert "21.5 B/step" in reader.hover(0.5, 2)
    assert "decode" in reader.hover(0.5, 3)
    reader.press("ArrowUp")
    assert reader.details.startswith("step")
    reader.press("ArrowDown", "ArrowDown")
    assert reader.details.startswith("decode")
    reader.click(0.5, 3)
    assert reader.crumbs() == ["all growth", "decode"]
    reader.press("Escape")
    assert reader.crumbs() == ["all growth", "load"]


def test_hidden_libraries_leave_their_growth_to_callers(reader):
    """Without libraries ``step`` keeps what the library below it allocated."""
    reader.page.get_by_label("hide libraries").check()
    told = reader.hover(0.1, 2)
    assert "step" in told
    assert "self 20 B/step" in told
    assert "plugin" in reader.hover(0.99, 1)


def test_the_import_system_can_be_hidden_alone(reader):
    """Without frames of the import system what is imported moves up; libraries stay."""
    reader.page.get_by_label("hide import system").check()
    assert "plugin" in reader.hover(0.99, 1)
    assert "load" in reader.hover(0.1, 3)


def test_a_window_answers_for_itself_by_mouse_and_by_keyboard(reader):
    """Dragged over the second half, flame, table and numbers are of it; Escape takes all again."""
    chart = reader.page.locator("svg").bounding_box()
    y = chart["y"] + 20
    reader.page.mouse.move(chart["x"] + chart["width"] * 0.55, y)
    reader.page.mouse.down()
    reader.page.mouse.move(chart["x"] + chart["width"] * 0.98, y, steps=4)
    reader.page.mouse.up()
    assert "all growth 50 B/step" in reader.whole
    assert "step 110 to step 210" in reader.whole
    assert [row[0] for row in reader.rows()] == ["step", "put"]
    assert "80 %" in reader.hover(0.1, 3)
    reader.page.locator("svg").dblclick()
    assert "step 10 to step 210" in reader.whole
    reader.page.get_by_label("to step").press("ArrowLeft")
    assert "step 10 to step 110" in reader.whole
    assert "all growth 18 B/step" in reader.whole
    reader.page.get_by_label("to step").press("Escape")
    assert "step 10 to step 210" in reader.whole


def test_a_window_in_which_nothing_grew_says_so(opened):
    """Where nothing grew there are words instead of frames."""
    rows = [(-1, "f", "app.py", True)]
    changes = [(0, 0, 64.0, 1.0), (1, 0, -10.0, -1.0)]
    reader = opened(flamegraph(flames.profile(rows, changes, [0, 10, 20])))
    reader.page.get_by_label("from step").press("ArrowRight")
    assert reader.whole == "Nothing grew from step 10 to step 20."
    assert not reader.canvas.is_visible()
    reader.page.get_by_role("button", name="Whole period").click()
    assert reader.canvas.is_visible()


def test_the_table_sorts_and_leads_to_the_frame(reader):
    """A click on a head sorts, a second one the other way; a function opens its sandwich."""
    assert [row[0] for row in reader.rows()] == ["step", "put", "plugin"]
    head = reader.page.locator(".sites th", has_text="function")
    head.locator("button").click()
    assert [row[0] for row in reader.rows()] == ["plugin", "put", "step"]
    assert head.get_attribute("aria-sort") == "ascending"
    head.locator("button").click()
    assert [row[0] for row in reader.rows()] == ["step", "put", "plugin"]
    reader.page.locator(".sites td button", has_text="put").click()
    assert reader.crumbs() == ["all growth", "put"]


def test_the_stack_is_copied_as_text(opened):
    """The letter c copies the chosen frame and its callers, one a line."""
    reader = opened(flamegraph(flames.service()))
    reader.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    reader.press("ArrowDown", "ArrowDown", "c")
    reader.page.get_by_role("button", name="Copied").wait_for()
    copied = reader.page.evaluate("navigator.clipboard.readText()")
    assert copied == "main (app.py:7)\nstep (app/cache.py:7)"


def test_a_difference_tells_both_sides_and_who_is_new_or_gone(opened):
    """Both rates are told; a frame that is gone stays, unless the width is that of after."""
    before, after = flames.service(), flames.cured()
    reader = opened(flamegraph(after, before=before))
    assert "after 25.5 B/step, before 33 B/step" in reader.whole
    told = reader.hover(0.05, 1)
    assert "main" in told
    assert "shrank" in told
    everything = {reader.hover(part / 20, row) for part in range(20) for row in (1, 2, 3)}
    gone = next(text for text in everything if text.startswith("put"))
    new = next(text for text in everything if text.startswith("other"))
    assert "gone" in gone
    assert "after 0 B/step" in gone
    assert "grew" in new
    reader.choose("width", "after")
    assert not any("put" in reader.hover(part / 20, 3) for part in range(20))
    assert reader.rows()[0][0] == "put"


def test_colours_can_tell_other_things(reader):
    """By module and by own growth, the legend names what the colours mean."""
    reader.choose("colour", "module")
    assert "json" in reader.text(".legend")
    reader.choose("colour", "own growth")
    assert "allocates most itself" in reader.text(".legend")


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
    reader.page.touchscreen.tap(box["x"] + 30, box["y"] + 3 * _ROW + 5)
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
    reader = opened(flamegraph(flames.service()), flamegraph(flames.cured()))
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


def test_what_is_shown_first_can_be_chosen(opened):
    """A selection zooms into its frame and looks at its window."""
    chosen = {"function": "put", "file": "app/cache.py", "line": 7, "window": [110.0, 210.0]}
    reader = opened(flamegraph(flames.service(), selection=chosen))
    assert reader.crumbs() == ["all growth", "main", "step", "put"]
    assert "step 110 to step 210" in reader.whole
    assert reader.page.get_by_label("from step").input_value() == "1"


def test_other_units_are_written_as_they_are(opened):
    """Descriptors are counted, not scaled, and no blocks are told."""
    reader = opened(flamegraph(flames.service(), unit="descriptors"))
    assert "all growth 33 descriptors/step" in reader.whole
    assert "block" not in reader.hover(0.1, 1)
    assert "descriptors gained" in reader.text(".caption")


def test_in_a_shared_report_it_works_under_the_policy(browser, tmp_path):
    """Two flame graphs of one script are drawn in a report, zoom, and break no rule of it."""
    book = nbformat.v4.new_notebook()
    bundles = [
        flamegraph(made, title=EVIL)._repr_mimebundle_()
        for made in (flames.service(), flames.cured())
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
