"""The flame graph as people use it: in a real browser, from the disk, without any network."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import flames

from resleak.figures import flamegraph

pytestmark = pytest.mark.browser


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
    before, after = flames.service(), flames.fixed()
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
