"""The panels without a browser: what is chosen, what runs, what stops, what is shown."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from helpers import captures as made
from helpers import traces as curves

from resleak import figures
from resleak.captures import browse
from resleak.figures.live_svg import sketch
from resleak.harness.plan import CaptureOptions
from resleak.ui.panel import Comparing, Panel, choices, form
from resleak.ui.panel.choices import Choice
from resleak.ui.panel.session import Session
from resleak.workload import gauges

EVIL = "<img src=x onerror=alert(1)>"
LEAK = '''
"""Keeps a descriptor a step. <script>alert(1)</script>"""
import os, time
kept = []
def step(i):
    time.sleep({pause})
    kept.append(os.open(os.devnull, os.O_RDONLY))
'''
#: Starts a run of a minute and a half, and ends.
ENDS = """
import time; from resleak.ui.panel import Panel
panel = Panel({file!r}, {out!r})
panel.form.runs.value, panel.form.steps.value, panel.form.stacks.value = 1, 4000, False
panel.start()
while not len(panel.session.live.read()): time.sleep(0.05)
"""
FAILS = """
def step(i):
    raise ValueError("no such table")
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    (folder / "quick.py").write_text(LEAK.format(pause=0))
    (folder / "slow.py").write_text(LEAK.format(pause=0.02))
    (folder / "fails.py").write_text(FAILS)
    return folder


def choice(file: Path, **options: object) -> Choice:
    chosen = Choice.of(str(file))
    changes: dict[str, Any] = {"runs": 1, "steps": 120, "stacks": False, **options}
    return replace(chosen, options=replace(chosen.options, **changes))


@pytest.fixture(scope="module")
def done(files, tmp_path_factory) -> Session:
    """Return a session that ran to its end."""
    session = Session(choice(files / "quick.py"), tmp_path_factory.mktemp("runs"))
    session.start()
    for _ in session.readings():
        pass
    return session


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("auth_cache", "arc/auth_cache"),
        ("embedder 2.2", "embedder/open_index_deleted"),
        ("token validation grows", "arc/auth_cache"),
        ("queue_length", "sse_streaming/unbounded_queue"),
        ("hangs deadlock", "arc/pool_deadlock"),
        ("HARMFUL sqlite", "arc/sqlite_connections"),
        ("control nothing", "control/do_nothing"),
    ],
)
def test_a_scenario_is_found_by_what_is_known_of_it(query, name):
    """Name, seed, claim, gauge, kind of fault and fix all lead to the scenario."""
    assert choices.search(query)[0]["name"] == name


def test_every_word_has_to_occur():
    """A further word never finds more, and a word that is nowhere finds nothing."""
    assert len(choices.search("")) > len(choices.search("leak")) > len(choices.search("leak arc"))
    assert choices.search("leak zzz") == []


def test_numbers_have_bounds_from_what_is_declared():
    """A number may be ten times the default, or the value of a soak, in either direction."""
    assert choices.bounds(20, 400) == (1, 4000)
    assert choices.bounds(0.5, None) == (0, 5)
    assert choices.bounds(-2, None) == (-20, 20)


def test_every_number_of_every_scenario_lies_within_its_bounds():
    """Each default lies within its own bounds, so that a form can be made for any scenario."""
    for declared in choices.everything():
        for name, default in declared["params"].items():
            if isinstance(default, (int, float)) and not isinstance(default, bool):
                low, high = choices.bounds(default, declared["soak"].get(name))
                assert low <= default <= high


def test_the_same_can_be_typed():
    """The command line of a choice names what differs from the default, and only that."""
    chosen = Choice.of("arc/auth_cache")
    assert chosen.command == "resleak capture arc/auth_cache --profile quick"
    options = CaptureOptions(variants=["leaky"], steps=90, params={"tokens_per_step": 3})
    chosen = replace(chosen, options=options)
    assert chosen.command.endswith("--variant leaky --steps 90 --set tokens_per_step=3")


def test_a_session_ends_with_a_verdict(done):
    """A run to the end is stored whole, judged, and its readings were all seen."""
    assert str(done.status) == "Done: 180 of 180 steps."
    judged = done.judgement()
    assert judged is not None
    assert judged.variants["workload"].verdict == "leak"
    assert done.live.read()["step"].max() == 180


def test_a_stopped_session_keeps_what_it_has(files, tmp_path):
    """Stop ends the processes at once; the readings stay, on disk and for the verdict."""
    session = Session(choice(files / "slow.py", runs=2, steps=5000), tmp_path)
    session.start()
    for _ in session.readings():
        if len(session.live.read()) > 20:
            session.stop()
    assert session.status.state == "stopped"
    assert "what was captured is kept" in str(session.status)
    assert not [
        c for c in psutil.Process().children(recursive=True) if "child.py" in str(c.cmdline())
    ]
    kept = session.live.read()
    assert len(kept) > 20
    assert len(list(tmp_path.rglob("trace.parquet"))) == 2
    assert session.judgement() is None
    assert {one.verdict for one in session.live.judge(kept)} <= {
        "inconclusive",
        "leak",
        "flat",
        "plateau",
    }


def test_points_and_the_time_left_come_while_it_runs(files, tmp_path):
    """Readings are there long before the end, and only grow; the time that is left shrinks."""
    session = Session(choice(files / "slow.py", steps=90), tmp_path)
    session.start()
    seen = [(len(session.live.read()), status.left_s) for status in session.readings()]
    counts = [count for count, _ in seen]
    assert counts == sorted(counts)
    assert len(set(counts)) > 5
    known = [left for _, left in seen if left is not None]
    assert seen[0][1] is None
    assert known[-1] < known[0]


def test_a_failure_is_one_line(files, tmp_path):
    """What the code under study raised is said in one line, and nothing is shown as captured."""
    session = Session(choice(files / "fails.py"), tmp_path)
    session.start()
    *_, status = session.readings()
    assert status.state == "failed"
    assert "ValueError: no such table" in status.error
    assert "\n" not in str(status)


@pytest.fixture
def panel(files, tmp_path) -> Panel:
    shown = Panel(str(files / "quick.py"), tmp_path)
    shown.form.runs.value, shown.form.steps.value, shown.form.stacks.value = 1, 120, False
    return shown


def button(panel: Panel | Comparing, name: str):
    """Return the button of this name."""
    todo = [panel]
    while todo:
        widget = todo.pop()
        if getattr(widget, "description", "") == name and hasattr(widget, "on_click"):
            return widget
        todo += getattr(widget, "children", ())
    raise LookupError(name)


def shown(panel: Panel | Comparing) -> str:
    return " ".join(out["data"]["text/plain"] for out in panel.results.place.outputs)


def test_the_panel_runs_and_shows_what_was_found(panel):
    """Run ends in results behind named views, and the form is free again."""
    button(panel, "Run").click()
    assert panel.form.search.disabled
    assert panel.wait(60).state == "done"
    assert "`quick` leaks" in shown(panel)
    panel.results.names.value = "Verdicts"
    assert "leak" in shown(panel)
    assert not panel.form.search.disabled
    assert len(panel.captures) == 1


def test_what_cannot_run_is_said_in_the_panel(panel, files):
    """No variant, a file that fails, a file that is none: a line each, and the panel lives on."""
    box = panel.form.variants.children[0]
    box.value = False
    button(panel, "Run").click()
    assert "no variant is chosen" in panel._message.value
    panel.form.search.value = str(files / "none.py")
    assert "there is no file" in panel.form.count.value
    panel.form.search.value = str(files / "fails.py")
    button(panel, "Run").click()
    panel.wait(60)
    assert "no such table" in panel._message.value
    assert not button(panel, "Run").disabled


def test_another_scenario_brings_its_own_form(panel):
    """Choosing a scenario shows its variants and parameters; what is out of bounds is not taken."""
    panel.form.search.value = "prompt_cache"
    panel.form.matches.value = "load_shedding/prompt_cache"
    names = [widget.description for widget in panel.form.params.children]
    assert names == ["writes", "max_entries", "ttl_s", "prune_s", "reload"]
    panel.form.params.children[0].value = 10**9
    assert panel.form.chosen().options.params == {"writes": 200}


def test_the_form_describes_a_scenario_as_a_report_does():
    """Claim and source in the same words, names as code, and no tag of a docstring."""
    declared = {**choices.search("auth_cache")[0], "doc": f"Made up.\n\n{EVIL}"}
    judgement = SimpleNamespace(scenario=declared)
    source, doc = figures.about(judgement).text.split("\n\n")[-2:]
    text = form.about(declared).text
    assert source.startswith("Source ")
    assert doc == f"\\{EVIL}"
    assert text.startswith(f"**{declared['name']}**: ")
    assert f"\n\n{source}\n\n- `leaky` " in text
    assert text.endswith(f"\n\n{doc}")


def test_a_choice_that_cannot_run_is_text_too(panel):
    """Without a variant, or with a parameter that cannot be read, a page says so."""
    panel.form.search.value = "decompression_bomb"
    panel.form.matches.value = "arc/decompression_bomb"
    sizes = next(one for one in panel.form.params.children if one.description == "sizes")
    usual, sizes.value = sizes.value, f"[{EVIL}"
    text = panel._repr_mimebundle_()["text/html"]
    assert "the parameter sizes takes a list" in text
    assert EVIL not in text
    sizes.value = usual
    for box in panel.form.variants.children:
        box.value = False
    told = panel._repr_mimebundle_()
    assert "no variant is chosen" in told["text/html"]
    assert "resleak capture" not in told["text/html"]
    assert told["text/plain"] == repr(panel)


def test_without_a_kernel_the_panel_is_text(panel):
    """A page that shows no widget shows what was chosen, and the command; all escaped."""
    panel.form._choice.source = EVIL
    told = panel._repr_mimebundle_()
    assert EVIL not in told["text/html"]
    assert "resleak capture" in told["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in told


def test_a_kernel_that_ends_stops_its_session(files, tmp_path):
    """An interpreter that ends while a session runs does not wait for it, nor leave it behind."""
    code = ENDS.format(file=str(files / "slow.py"), out=str(tmp_path))
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert len(list(tmp_path.rglob("[!.]*.incomplete-*"))) == 1


def write(root: Path, variant: str, trace, **options) -> None:
    made.write(root, made.scenario(gauges=("fds",)), variant, trace, **options)


@pytest.fixture
def stored(tmp_path, monkeypatch) -> Path:
    """Return a folder with a leak and its cure; notebooks beside it have run nothing yet."""
    root = tmp_path / "stored"
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    write(root, "leaky", curves.trace(curves.ramp(1.0)).rename(columns={"count": "fds"}))
    write(root, "fixed", curves.trace(curves.ramp(0.0)).rename(columns={"count": "fds"}))
    return root


def test_two_captures_are_compared(stored):
    """Two sides that were searched for are compared gauge by gauge; one run alone is a side too."""
    panel = Comparing(stored, before="leaky", after="fixed")
    button(panel, "Compare").click()
    assert "made/up leaky → made/up fixed" in panel._message.value
    assert "fds: 1 descriptor/step" in shown(panel)
    panel.before.runs.value = 1
    assert panel.before.side().runs == [1]


def test_somebody_elses_folder_can_be_added(stored, tmp_path):
    """A further folder brings its captures; one that has none is named, and nothing breaks."""
    panel = Comparing(stored)
    write(tmp_path / "theirs", "proposed", curves.trace(curves.ramp(0.5)))
    panel.add(str(tmp_path / "theirs"))
    assert len(panel.before.matches.options) == 3
    panel.add(str(tmp_path / EVIL[:8]))
    assert "there is no complete capture" in panel._message.value
    assert "<img" not in panel._message.value
    write(tmp_path / "theirs", "leaky", curves.trace(curves.ramp(0.5)))
    panel.add("")
    assert len(panel.before.matches.options) == 4


def test_a_damaged_capture_is_a_line(stored):
    """What cannot be read is told, and the rest is there to choose from."""
    next(stored.rglob("manifest.json")).write_text("{")
    found = browse.shelf(stored)
    assert [side.name for side in found.sides] == ["made/up fixed", "made/up leaky"]
    assert len(found.problems) == 1
    assert "damaged" in found.problems[0]


def test_the_same_variant_twice_is_before_and_after(stored):
    """Sides of one name are told apart in one figure; others keep their names."""
    leaky, fixed = (browse.shelf(stored).search(name)[0].captures for name in ("leaky", "fixed"))
    assert list(browse.joined(leaky, leaky)["variant"].unique()) == ["before", "after"]
    assert list(browse.joined(leaky, fixed)["variant"].unique()) == ["leaky", "fixed"]


def test_a_sketch_shows_each_run_and_nothing_else():
    """One line a run, as far as it got, with its name escaped and its reading in words."""
    rows = curves.trace(curves.ramp(1.0)).rename(columns={"count": "fds"}).assign(variant=EVIL)
    known = {"fds": gauges.BUILTIN["fds"], "heap": gauges.BUILTIN["heap"]}
    drawn = sketch(rows, known, steps=400)
    assert drawn.html.count("<polyline") == rows["run"].nunique()
    assert "<img" not in drawn.html
    assert "descriptors" in repr(drawn)
    assert "<polyline" not in sketch(rows.iloc[:0], known).html
