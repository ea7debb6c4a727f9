"""What a report says first can be acted on, and is text whoever named the things in it."""

from __future__ import annotations

from dataclasses import asdict

import pytest

import resleak
from resleak.figures import sentences
from resleak.report import summary


@pytest.mark.parametrize(
    ("name", "verdicts", "line", "todo"),
    [
        (
            "arc/sqlite_connections",
            ["leak", "claim partly", "proposed harmful"],
            "resleak/scenarios/arc/sqlite_connections.py:",
            "Do not take `proposed`: it does harm of its own. `fixed` is clean: take it.",
        ),
        (
            "arc/pool_size",
            ["claim reproduced", "proposed holds"],
            "",
            "Take `proposed`: it holds.",
        ),
        ("control/do_nothing", ["flat"], "", "Nothing to fix"),
    ],
)
def test_a_finding_says_what_to_do(project, name, verdicts, line, todo):
    """Verdict, outcome of claim and fix, the line, and what follows from them, of real captures."""
    finding = summary.finding(resleak.judge(resleak.load(project / "data" / "captures" / name)))
    assert finding.verdicts[-len(verdicts) :] == verdicts
    assert line in str(finding.cards)
    assert finding.todo.startswith(todo)


def test_cards_name_their_variant_and_begin_with_the_one_that_the_sentence_is_about(project):
    """Of several variants the first card is of the one that the verdict names first."""
    runs = resleak.load(project / "data" / "captures" / "arc" / "sqlite_connections")
    finding = summary.finding(resleak.judge(runs), runs)
    titles = [card.title for card in finding.cards]
    assert finding.verdict.startswith("**`leaky`")
    assert titles[0].startswith("1. leaky: reference cycles")
    assert titles[1].startswith("2. leaky_error_kept: file descriptors 1 per step")
    assert summary.Finding.parse(asdict(finding)) == finding
    assert summary.html([finding]).count("data:image/svg+xml") == len(titles)


def test_only_code_and_bold_are_markup():
    """Everything else in a sentence is text, also stars within code and tags anywhere."""
    assert sentences.inline("**`a` leaks** <b> `x**y**`") == (
        "<b><code>a</code> leaks</b> &lt;b&gt; <code>x&#42;&#42;y&#42;&#42;</code>"
    )


def test_markdown_leaves_out_what_is_not_known():
    """Without a line there is no empty row, and without a lead no empty paragraph."""
    found = summary.Finding("own", "", ["flat"], "Nothing grew.", "", "")
    text = summary.markdown("own", "", [found], {"Run again": "`resleak share own`"})
    assert text == (
        "## own\n\n### `own`: flat\n\n- Found: Nothing grew.\n\nRun again: `resleak share own`\n"
    )
