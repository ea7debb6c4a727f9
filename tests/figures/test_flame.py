"""The flame graph's data is small, whole and harmless, and its model counts as pandas does."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
from base64 import b64decode
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from helpers import flames
from helpers.flames import EVIL, asked

from resleak import formatting
from resleak.analysis.stacks import Profile, joined, profile
from resleak.figures import flamegraph, style
from resleak.figures.flame import page
from resleak.report.redact import Redactor

SPAN = [100.0, 300.0]
#: In JavaScript: what grew in all windows, with nothing hidden.
ALL = "m.grownIn(p, null).own"
NONE = "m.hiddenFrames(p, {})"
LIBRARIES = "m.hiddenFrames(p, { libraries: true })"
IMPORTS = "m.hiddenFrames(p, { importing: true })"

Stacks = list[tuple[tuple[str, ...], float]]


def stacks(made: Profile, span: tuple[float, float] | None = None) -> Stacks:
    """Return each stack that grew, as functions from the top, with its bytes per step."""
    first, last = span or (made.edges[0], made.edges[-1])
    starts = made.edges[made.changes["window"].to_numpy()]
    inside = made.changes[(starts >= first) & (starts < last)]
    net = inside.groupby("node")["bytes"].sum() / (last - first)
    return [(chain(made, node), float(value)) for node, value in net.items() if value > 0]


def chain(made: Profile, node: int) -> tuple[str, ...]:
    names: list[str] = []
    while node >= 0:
        names.insert(0, made.frames["function"][node])
        node = made.frames["parent"][node]
    return tuple(names)


def totals(grown: Stacks) -> dict[tuple[str, ...], float]:
    """Return the total of every chain of callers that leads to some growth."""
    sums: dict[tuple[str, ...], float] = defaultdict(float)
    for path, value in grown:
        for length in range(len(path) + 1):
            sums[path[:length]] += value
    return sums


def told(answer: list[tuple[list[str], float]]) -> dict[tuple[str, ...], float]:
    sums: dict[tuple[str, ...], float] = defaultdict(float)
    for path, value in answer:
        sums[tuple(path)] += value
    return {path: value for path, value in sums.items() if value}


def is_hidden(name: str) -> bool:
    """Tell whether `flames.random` puts a function into a library."""
    return int(name.removeprefix("f")) % 4 in (1, 2)


@pytest.mark.parametrize("seed", range(4))
def test_totals_are_those_of_the_stacks(seed):
    """Each frame has what grew below it, in the whole and in any window, shrinking left out."""
    made = flames.random(seed)
    whole, part = asked(
        made,
        f"[null, {SPAN}].map((span) => tell(m.wholeTree(p, m.grownIn(p, span).own)))",
    )
    assert told(whole) == pytest.approx(totals(stacks(made)))
    assert told(part) == pytest.approx(totals(stacks(made, (SPAN[0], SPAN[1]))))


@pytest.mark.parametrize("seed", range(4))
def test_inverted_is_every_stack_read_from_its_leaf(seed):
    """Leaf first, below each frame stand its callers, and nothing is lost."""
    made = flames.random(seed)
    answer = asked(made, f"tell(m.inverted(p, {ALL}, {NONE}, 0))")
    backwards = [(path[::-1], value) for path, value in stacks(made)]
    assert told(answer) == pytest.approx(totals(backwards))


@pytest.mark.parametrize("seed", range(4))
def test_hidden_frames_leave_what_they_call_to_their_callers(seed):
    """Without libraries the same growth hangs on the nearest frames that are kept."""
    made = flames.random(seed)
    kept = [
        (tuple(name for name in path if not is_hidden(name)), value) for path, value in stacks(made)
    ]
    answer = asked(made, f"tell(m.withoutHidden(p, {ALL}, {LIBRARIES}, 0))")
    assert told(answer) == pytest.approx(totals(kept))
    turned = asked(made, f"tell(m.inverted(p, {ALL}, {LIBRARIES}, 0))")
    assert told(turned) == pytest.approx(totals([(path[::-1], value) for path, value in kept]))


@pytest.mark.parametrize("seed", range(4))
def test_a_sandwich_counts_recursion_once(seed):
    """Callers above and callees below a frame both add up to the stacks that have it."""
    made = flames.random(seed)
    focus = "f3"
    having = [(path, value) for path, value in stacks(made) if focus in path]
    above = [(path[: path.index(focus)][::-1], value) for path, value in having]
    below = [(path[path.index(focus) + 1 :], value) for path, value in having]
    both = asked(
        made,
        "((s) => [tell(s.up), tell(s.down)])(m.sandwich("
        f"p, m.wholeTree(p, {ALL}), {NONE}, 0, Array.from(p.frames.name).findIndex((_, f) => "
        f"m.functionOf(p, f) === '{focus}')))",
    )
    assert told(both[0]) == pytest.approx(totals(above))
    assert told(both[1]) == pytest.approx(totals(below))


@pytest.mark.parametrize("query", ["f3", "F3", "/f[36]/", "app.py", "stdlib", "/^f1$/", "a.py:7"])
def test_search_counts_each_stack_once(query):
    """The share of a search is what grew in stacks that have a match, however often."""
    made = flames.random(5)
    place = dict(zip(made.frames["function"], made.frames["file"], strict=True))
    fits = {
        "f3": lambda n: n == "f3",
        "F3": lambda n: n == "f3",
        "/f[36]/": lambda n: n in ("f3", "f6"),
        "app.py": lambda n: place[n] == "app.py",
        "stdlib": lambda n: "stdlib" in place[n],
        "/^f1$/": lambda n: n == "f1",
        "a.py:7": lambda n: place[n].endswith("a.py"),
    }[query]
    expected = sum(value for path, value in stacks(made) if any(map(fits, path)))
    code = f"m.sumOf(m.wholeTree(p, {ALL}), m.matching(p, {json.dumps(query)}), 0)"
    assert asked(made, code) == pytest.approx(expected)
    assert expected > 0


@pytest.mark.parametrize("query", ["", "/", "/(/", "/["])
def test_what_is_no_pattern_finds_nothing_and_harms_nothing(query):
    """An empty query or a broken expression is no search at all."""
    assert asked(flames.service(), f"m.matching(p, {json.dumps(query)})") is None


def test_a_difference_has_both_sides_and_what_changed():
    """Each frame has both rates, and the sum of increases and decreases of its stacks."""
    before, after = flames.service(), flames.fixed()
    answer = asked(after, f"[0, 2, 4].map((c) => tell(m.wholeTree(p, {ALL}), c))", before=before)
    now, then = dict(stacks(after)), dict(stacks(before))
    changed = [(path, abs(now.get(path, 0) - then.get(path, 0))) for path in {*now, *then}]
    assert told(answer[0]) == pytest.approx(totals(stacks(after)))
    assert told(answer[1]) == pytest.approx(totals(stacks(before)))
    assert told(answer[2]) == pytest.approx({k: v for k, v in totals(changed).items() if v})


def test_sites_answer_for_stacks_as_the_table_of_sites_does():
    """In the browser and in Python the same lines keep the same, net of what they give back."""
    made = flames.random(7)
    flame = flamegraph(made)
    rows = flames.ask(
        flame,
        "m.sitesIn(p, m.grownIn(p, null).net)"
        ".map((r) => [m.functionOf(p, r.frame), m.placeOf(p, r.frame), r.bytes])",
    )
    grown = sorted((row for row in rows if row[2] > 0), key=lambda row: -row[2])
    where = flame.table["file"] + ":" + flame.table["line"].astype(str)
    assert [row[:2] for row in grown] == [
        list(pair) for pair in zip(flame.table["function"], where, strict=True)
    ]
    assert [row[2] for row in grown] == pytest.approx(flame.table["per_step"].tolist())


def test_the_chart_is_live_memory_at_each_edge():
    """What was gained since the first edge is the running sum of all changes, down as well."""
    made = flames.random(8)
    net = made.changes.groupby("window")["bytes"].sum().reindex(range(5), fill_value=0)
    assert asked(made, "m.cumulated(p.sides[0])") == pytest.approx([0, *net.cumsum()])


def test_the_layout_fills_the_width_and_merges_what_is_narrow():
    """Frames lie inside their callers, and those below half a pixel become one rectangle."""
    made = flames.large(3000)
    placed = asked(made, f"m.layout(m.wholeTree(p, {ALL}), 0, 800, 0)")
    drawn = pd.DataFrame({name: placed[name] for name in ("node", "row", "x", "w")})
    assert drawn["w"][0] == pytest.approx(800)
    assert (drawn["x"] + drawn["w"]).max() <= 800 + 1e-6
    assert (drawn[drawn["node"] >= 0]["w"] >= 0.5).all()
    assert (drawn["node"] < 0).any()
    for _, row in drawn.groupby("row"):
        assert row["w"].sum() <= 800 + 1e-6
        assert (row["x"].diff().dropna() >= row["w"].shift().dropna() - 1e-6).all()
    assert len(drawn) < 3000


@pytest.mark.parametrize("seed", range(3))
def test_what_is_decoded_is_what_was_given(seed):
    """Every change of every frame arrives, fractions of several captures' means too."""
    made = flames.random(seed)
    thirds = made.changes.assign(bytes=made.changes["bytes"] / 3, count=made.changes["count"] / 2)
    made = replace(made, changes=thirds)
    side = asked(
        made,
        "((s) => Array.from(s.node, (n, i) => [m.pathOf(p, n).map((f) => m.functionOf(p, f)), "
        "s.starts.findLastIndex((start) => start <= i), s.bytes[i], s.count[i]]))(p.sides[0])",
    )
    given = made.changes[made.changes["bytes"] != 0]
    expected = sorted(
        (list(chain(made, n)), w, b, c)
        for n, w, b, c in zip(
            given["node"], given["window"], given["bytes"], given["count"], strict=True
        )
    )
    arrived = sorted(tuple(row) for row in side if row[2])
    assert [row[:2] for row in arrived] == [row[:2] for row in expected]
    assert np.array([r[2:] for r in arrived]) == pytest.approx(
        np.array([r[2:] for r in expected]), abs=1e-6
    )


def test_numbers_read_as_in_every_other_figure():
    """The browser writes amounts and shares as Python does, bytes scaled, others bare."""
    values = [0, 1, 1.5, 12.345, 999, 1023, 1024, 54321.0, 3 * 2**20, 7.5e12, -412.4, 0.0123]
    parts = [0, 1, 0.5, 0.12345, 0.000999]
    code = (
        f"[...{values}.map((v) => [m.amountText(v, 'B'), m.amountText(v, 'descriptors')]), "
        f"{parts}.map(m.shareText)]"
    )
    *amounts, shares = asked(flames.service(), code)
    assert amounts == [
        [formatting.amount(v, "B"), formatting.amount(v, "descriptors")] for v in values
    ]
    assert shares == [formatting.share(part) for part in parts]


def test_every_file_of_the_script_is_sound():
    """Each part is a module that can be parsed, and so is the one script they become."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node")
    for path in sorted(flames.SCRIPTS.glob("*.mjs")):
        subprocess.run([node, "--check", str(path)], check=True, capture_output=True)
    subprocess.run([node, "--check", "-"], input=page.script(), check=True, text=True)
    assert "\nimport " not in page.script()
    assert "\nexport " not in page.script()


def test_the_model_knows_of_no_page():
    """Totals, windows and views are reckoned without a document."""
    for path in flames.MODEL:
        source = path.read_text(encoding="utf-8")
        parts = set(re.findall(r'from "\./(\w+)\.mjs"', source))
        assert parts <= {part.stem for part in flames.MODEL}
        assert not re.search(r"\b(document|window|canvas)\.", source)


def test_strings_stay_readable_for_redaction_and_numbers_do_not_change():
    """Names are plain in what a notebook stores, so that private paths in them are replaced."""
    rows = [(-1, "f", "/home/somebody/secret/app.py", False)]
    flame = flamegraph(flames.profile(rows, [(0, 0, 64.0, 1.0)], [0, 1]))
    clean = Redactor(["/home/somebody"], "", "", {}).tree(flame.payload)
    assert "[path]/app.py" in clean["strings"]
    assert clean["bdata"] == flame.payload["bdata"]
    assert "somebody" not in json.dumps(clean)
    packed = page.packed_strings(clean)
    assert json.loads(gzip.decompress(b64decode(packed["packed"]))) == clean["strings"]


def test_names_from_a_capture_end_no_element():
    """A function, a file and a title with markup are text in the table and data in the script."""
    rows = [(-1, EVIL, EVIL, True)]
    flame = flamegraph(flames.profile(rows, [(0, 0, 64.0, 1.0)], [0, 1]), title=EVIL)
    soup = BeautifulSoup(flame._repr_mimebundle_()["text/html"], "html.parser")
    assert len(soup.find_all("script")) == 2
    assert not soup.find_all("img")
    data = json.loads(soup.find("script", type="application/json").string)
    assert data["title"] == EVIL
    assert soup.find("td").get_text() == EVIL


@pytest.mark.parametrize(
    ("edges", "told"), [([0, 10], "nothing grew"), ([], "nothing is known of growth")]
)
def test_nothing_to_draw_is_said_in_words(edges, told):
    """Without growth the figure says so; without captures it does not claim that nothing grew."""
    changes = [(0, 4, -10.0, -1.0)] if edges else []
    flame = flamegraph(flames.profile(flames.ROWS if edges else [], changes, edges), title="fixed")
    bundle = flame._repr_mimebundle_()
    assert told in bundle["text/html"]
    assert "<script" not in bundle["text/html"]
    assert told in bundle["text/plain"]
    assert "fixed" in bundle["text/plain"]


def test_no_captures_are_no_proof():
    """The profile of no capture at all says that nothing is known."""
    assert "nothing is known of growth" in repr(flamegraph(profile([])))


def test_text_lists_the_lines_that_keep_most():
    """In a terminal the largest lines are read, with rates and shares."""
    told = repr(flamegraph(flames.service(), title="a service"))
    assert told.splitlines()[0] == "a service"
    assert told.splitlines()[2].split()[1:5] == ["step", "app/cache.py", "7", "20"]


def test_what_is_joined_becomes_a_difference():
    """Two profiles of other frames are joined, and the flame graph has each one's own growth."""
    sides = flames.service(), flames.random(3)
    before, after = joined(*sides)
    answer = asked(after, f"[0, 2].map((c) => tell(m.wholeTree(p, {ALL}), c))", before=before)
    assert told(answer[0]) == pytest.approx(totals(stacks(sides[1])))
    assert told(answer[1]) == pytest.approx(totals(stacks(sides[0])))


def test_a_side_of_which_nothing_is_known_is_no_fix():
    """A difference with no capture on one side does not show all of the other as new or gone."""
    nothing = replace(flames.service(), edges=np.empty(0), changes=flames.service().changes.head(0))
    for pair in ((flames.service(), nothing), (nothing, flames.service())):
        assert "nothing is known" in repr(flamegraph(pair[0], before=pair[1]))


def test_sides_of_other_frames_are_refused():
    """A difference needs two profiles of the same frames."""
    with pytest.raises(ValueError, match="same frames"):
        flamegraph(flames.service(), before=flames.random(1))


def test_a_large_profile_is_small():
    """A hundred thousand stacks take less than seven bytes each, names and all."""
    made = flames.large(100_000)
    shown = page.place(flamegraph(made).payload)
    assert len(made.changes) > 50_000
    assert len(shown) < 7 * len(made.frames)


def test_letters_can_be_read_on_every_colour():
    """Letters on frames have a contrast of at least 4.5 to 1, and on text the themes have it."""
    for colour in (*style.FRAMES.values(), *style.MODULES):
        assert contrast(colour, style.LETTERS) >= 4.5
    for text, paper in (("#1b1f24", "#fff"), ("#57606a", "#fff"), ("#0066b8", "#fff")):
        assert contrast(text, paper.replace("#fff", "#ffffff")) >= 4.5
    for text in ("#e6e8ea", "#a3abb3", "#79b8ff"):
        assert contrast(text, "#14171a") >= 4.5
        assert text in (flames.SCRIPTS / "flame.css").read_text(encoding="utf-8")


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG 2 defines it."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_a_printed_picture_leaves_out_frames_that_pass_growth_through():
    """However deep a library calls it, studied code stands within the rows that are printed."""
    rows = [(-1, "start", "threading.py", False)]
    rows += [(k, f"run{k}", "<stdlib>/asyncio.py", False) for k in range(40)]
    rows += [(40, "render", "app.py", True), (-1, "other", "helper.py", False)]
    steep = flames.profile(rows, [(0, 41, 990.0, 1.0), (0, 42, 10.0, 1.0)], [0, 10])
    picture = flamegraph(steep).svg
    assert "render app.py:7" in picture
    assert "run7" not in picture
