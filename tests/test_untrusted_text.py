"""Names and titles of anyone reach terminals, Markdown, CSV and shells as text only."""

from __future__ import annotations

import json
import shlex

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from resleak import formatting
from resleak.captures import export, frames
from resleak.captures.manifest import Manifest, described
from resleak.report.summary import Finding, markdown

EVIL = "a\x1b]52;c;aGk=\x07b\x9b2J\u202ec\u2066d\rz\ud800e\u200b"


@pytest.mark.parametrize("text", [EVIL, "\x00", "\u2028", "\ufeff"])
def test_controls_become_visible(text):
    """No control, bidirectional or invisible character is left, and each is named."""
    plain = formatting.plain_text(text)
    assert all(character.isprintable() for character in plain)
    assert plain.count("⟨U+") == sum(not character.isprintable() for character in text)


def test_ordinary_text_stays():
    """Letters of any script, lines and tabs are left as they are."""
    assert formatting.plain_text("é ∞ ‖ 日本\n\tx") == "é ∞ ‖ 日本\n\tx"


def test_json_is_the_same_value():
    """Escaping unsafe characters in JSON changes no value."""
    text = formatting.json_text(json.dumps({"a": EVIL}, ensure_ascii=False, indent=1))
    assert text.replace("\n", "").isprintable()
    assert json.loads(text) == {"a": EVIL}


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_a_cell_is_no_formula(text):
    """A text that a spreadsheet would compute begins with an apostrophe."""
    assert formatting.csv_text(text).startswith("'")
    assert formatting.csv_text("a=1") == "a=1"


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=alert(1)>",
        "[go](javascript:alert(1))",
        "![](https://example.org/pixel)",
        "`code` <b>x</b>",
        "` <b>x</b>",
        "a\n# b\n\n<script>",
        "&lt;b&gt; | x",
    ],
)
def test_markdown_has_neither_markup_nor_links(text):
    """A title in Markdown renders without tags, links or images of its own."""
    html = MarkdownIt().render(f"## {formatting.markdown_text(text)}")
    for tag in ("<img", "<a ", "<b>", "<script"):
        assert tag not in html
    assert html.count("<h") == 1


def test_a_pipe_stays_in_its_cell():
    """A text of a table's cell is one cell, in code and out of it."""
    row = f"| {formatting.markdown_text('a | `b | c`', cell=True)} | d |"
    html = MarkdownIt().enable("table").render(f"| x | y |\n|---|---|\n{row}\n")
    assert html.count("<td>") == 2
    assert "<code>b | c</code>" in html


def test_a_finding_is_harmless_in_an_issue():
    """Whatever a scenario is called, its summary in Markdown has no markup of its own."""
    evil = "x` <script>alert(1)</script> [a](javascript:b)"
    finding = Finding(evil, evil, [evil], evil, evil, evil, evil)
    html = MarkdownIt().render(markdown(evil, "", [finding], {"Run again": evil}))
    assert "<script" not in html
    assert "<a " not in html


def test_a_command_is_quoted():
    """A command to paste has each word as it was, whatever is in it."""
    words = ["resleak", "open", "a b; rm -rf $HOME", "it's"]
    assert shlex.split(formatting.command(*words)) == words


def test_a_table_of_csv_has_no_formula(tmp_path):
    """Names of scenarios, variants and gauges are text in an exported CSV, numbers numbers."""
    run = Manifest(scenario=described("=1+1", "", {"@x": ""}), variant="@x")
    trace = pd.DataFrame({"t_s": [0.5], "step": [-1], "phase": ["steady"], "=g": [-2.0]})
    trace.attrs["units"] = {"=g": "B"}
    export.csv(frames.Captures([frames.Capture.live(run, trace)]), tmp_path / "x.csv")
    head, row = (tmp_path / "x.csv").read_text().splitlines()
    assert head == "scenario,variant,run,t_s,step,phase,'=g [B]"
    assert row == "'=1+1,'@x,1,0.5,-1,steady,-2.0"
