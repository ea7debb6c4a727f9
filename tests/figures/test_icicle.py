"""The icicle shows what grew, by how much and where, and nothing that a capture slips in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from resleak.figures import icicle

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

EVIL = "<script>alert('x')</script><b onclick=evil()>%{customdata[0]}"


FRAMES = [
    (-1, "run", "<stdlib>/asyncio/runners.py", False, 0.0),
    (0, "step", "app.py", True, 100.0),
    (1, "loads", "<stdlib>/json/__init__.py", False, 3000.0),
    (0, "other", "helper.py", False, 30.0),
    (-1, "thread", "<stdlib>/threading.py", False, 100 / 3),
]


def grown(frames: list[tuple[int, str, str, bool, float]]) -> pd.DataFrame:
    """Return a tree of (parent, function, file, studied, own bytes per step)."""
    names = ["parent", "function", "file", "studied", "self_bytes_per_step"]
    tree = pd.DataFrame(frames, columns=names).assign(line=7, lasting=True, count_per_step=1.0)
    tree["node"] = range(len(tree))
    totals, depth = tree["self_bytes_per_step"].to_numpy().copy(), np.zeros(len(tree), dtype=int)
    for node in reversed(range(len(tree))):
        if tree["parent"][node] >= 0:
            totals[tree["parent"][node]] += totals[node]
    for node, parent in enumerate(tree["parent"]):
        depth[node] = depth[parent] + 1 if parent >= 0 else 0
    return tree.assign(bytes_per_step=totals, depth=depth)


@pytest.fixture
def tree() -> pd.DataFrame:
    return grown(FRAMES)


def test_the_top_row_is_all_growth(tree: pd.DataFrame) -> None:
    """The root is as wide as all growth, and no frame's parts are wider than the frame."""
    drawn = icicle(tree).data[0]
    value = dict(zip(drawn.ids, drawn.values, strict=True))
    assert value["root"] == pytest.approx(tree["self_bytes_per_step"].sum())
    assert "3.09 KiB/step" in drawn.labels[0]
    assert (drawn.branchvalues, drawn.tiling.orientation) == ("total", "v")
    for parent in value:
        parts = [value[i] for i, p in zip(drawn.ids, drawn.parents, strict=True) if p == parent]
        assert sum(parts) <= value[parent] * (1 + 1e-9)


def test_a_frame_says_where_and_how_much(tree: pd.DataFrame) -> None:
    """A frame is labelled with function, file and line; hovering tells rates and share."""
    drawn = icicle(tree).data[0]
    assert drawn.labels[2] == "<b>step  app.py:7</b>"
    assert drawn.labels[3] == "loads  &lt;stdlib&gt;/json/__init__.py:7"
    told = drawn.customdata[3][1]
    for part in ("2.93 KiB/step", "94.8 % of all growth", "1 blocks/step"):
        assert part in told


def test_studied_code_stands_out_without_colour_too(tree: pd.DataFrame) -> None:
    """Studied frames have a colour of their own, and bold letters for those who do not see it."""
    drawn = icicle(tree).data[0]
    colours = dict(zip(drawn.ids, drawn.marker.colors, strict=True))
    assert len({colours["0"], colours["1"], colours["3"]}) == 3
    assert colours["0"] == colours["2"] == colours["4"]
    assert [label.startswith("<b>") for label in drawn.labels] == [False, False, True] + 3 * [False]
    passing = icicle(tree.assign(lasting=False)).data[0]
    assert passing.marker.colors[2] != colours["1"]
    assert "does not last" in passing.customdata[2][1]


def test_letters_can_be_read_on_every_colour(tree: pd.DataFrame) -> None:
    """Letters on frames have a contrast of at least 4.5 to 1, on light paper and on dark."""
    other = tree.assign(lasting=False)
    for drawn in (icicle(tree).data[0], icicle(other).data[0]):
        for back, letters in list(zip(drawn.marker.colors, drawn.textfont.color, strict=True))[1:]:
            light, dark = sorted((luminance(back), luminance(letters)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5


def luminance(colour: str) -> float:
    """Return the relative luminance as WCAG 2 defines it."""
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_names_from_a_capture_are_text() -> None:
    """A function or file with markup in its name, or a title, is shown as it is written."""
    figure = icicle(grown([(-1, EVIL, EVIL, True, 9.0)]), title=EVIL)
    drawn = figure.data[0]
    for text in (drawn.labels[1], drawn.customdata[1][0], figure.layout.title.text):
        assert "<script" not in text
        assert "onclick=evil()&gt;" in text
    assert "<script>alert" not in figure.to_html(include_plotlyjs=False)


def test_a_large_tree_is_pruned_and_says_so() -> None:
    """Of many frames the largest are drawn, with how many are not."""
    frames = [(-1, "main", "app.py", True, 0.0)]
    frames += [(0, f"f{n}", "app.py", True, float(n + 1)) for n in range(50)]
    drawn = icicle(grown(frames), most=11).data[0]
    assert len(drawn.ids) == 12
    assert {f"<b>f{n}  app.py:7</b>" for n in range(40, 50)} <= set(drawn.labels)
    assert "40 smaller frames are not drawn" in drawn.customdata[0][1]


def test_height_follows_depth(tree: pd.DataFrame) -> None:
    """A deeper tree makes a higher figure, up to a limit."""
    chain = [(n - 1, f"f{n}", "app.py", True, 1.0) for n in range(500)]
    shallow, deep = icicle(tree).layout.height, icicle(grown(chain)).layout.height
    assert 150 < shallow < deep <= 1400


@pytest.mark.parametrize(("captures", "told"), [(1, "nothing grew"), (0, "nothing is known")])
def test_nothing_to_draw_is_said_in_words(tree: pd.DataFrame, captures: int, told: str) -> None:
    """Without growth the figure says so; without captures it does not claim that nothing grew."""
    nothing = tree.head(0)
    nothing.attrs["captures"] = captures
    figure = icicle(nothing, title="fixed")
    assert not figure.data
    assert told in figure.layout.annotations[0].text
    assert figure.layout.title.text == "fixed"


def test_the_figure_is_plain_json(tree: pd.DataFrame) -> None:
    """The figure can be stored in a notebook: it is JSON without any number that is not one."""
    stored = json.loads(icicle(tree).to_json())
    assert "NaN" not in json.dumps(stored)
    assert stored["layout"]["template"]["layout"]["paper_bgcolor"] == "rgba(0, 0, 0, 0)"


@pytest.mark.browser
def test_a_browser_draws_every_frame(browser: Browser, tmp_path: Path) -> None:
    """Every frame is drawn, callers above what they call, and markup in a name does nothing."""
    whole = grown([*FRAMES, (2, EVIL, EVIL, True, 50.0)])
    (tmp_path / "figure.html").write_text(icicle(whole).to_html(), encoding="utf-8")
    page, told = browser.new_page(), []
    page.on("dialog", lambda dialog: (told.append(dialog.message), dialog.dismiss()))
    page.on("console", lambda message: told.append(message.text))
    page.goto((tmp_path / "figure.html").as_uri())
    page.wait_for_selector(".icicle .slice")
    tops = page.eval_on_selector_all(
        ".icicle .slice", "all => all.map(s => s.querySelector('path').getBoundingClientRect().top)"
    )
    texts = page.eval_on_selector_all(".icicle .slice text", "all => all.map(t => t.textContent)")
    page.close()
    assert len(tops) == len(whole) + 1
    assert len({round(top) for top in tops}) == whole["depth"].max() + 2
    assert tops[0] == min(tops)
    assert "step  app.py:7" in [" ".join(text.split()).replace(" ", "  ") for text in texts]
    assert told == []
