"""Sentences written for any scenario say what was judged, with its number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from helpers import captures
from helpers import traces as made
from markdown_it import MarkdownIt

from resleak import figures
from resleak.analysis import verdicts, wording
from resleak.analysis.stacks.site import Site
from resleak.captures import load
from resleak.figures import sentences
from resleak.workload.scenario import Limit, Sweep


def judged(folder, curves: dict[str, Any], **options: Any) -> verdicts.ScenarioVerdict:
    scenario = captures.scenario(control="entries", **options)
    for variant, curve in curves.items():
        trace = made.trace(curve, gauge="fds", variant=variant)
        captures.write(folder, scenario, variant, trace)
    return verdicts.judge(load.load(folder))


def test_the_answer_names_leak_and_cure_with_their_numbers(tmp_path):
    """Rate and interval of the leak, and what the cure would have shown had it leaked."""
    judgement = judged(tmp_path, {"leaky": made.ramp(1.0), "fixed": made.flat})
    text = figures.answer(judgement).text
    assert text.startswith(
        "**`leaky` leaks**: `fds` grows by 1 descriptor/step, 95 % CI [1, 1]. "
        "**`fixed` does not leak**: `fds` is flat."
    )
    limit = judgement.variants["fixed"].gauge("fds").detection_limit
    assert f"The detection limit of `fds` is {limit:.3g} descriptors/step." in text


def test_the_answer_mentions_the_other_variants(tmp_path):
    """A variant that is neither the fault nor the cure is named with its verdict."""
    curves = {"leaky": made.ramp(1.0), "proposed": made.ramp(2.0), "fixed": made.flat}
    text = figures.answer(judged(tmp_path, curves)).text
    assert text.endswith("The other variants: `proposed` leak.")


def test_a_clean_variant_alone_says_what_would_have_been_seen(tmp_path):
    """Where nothing leaks, the smallest leak that would have shown stands in the answer."""
    text = figures.answer(judged(tmp_path, {"leaky": made.flat})).text
    start = "**`leaky` does not leak**: `fds` is flat. The detection limit of `fds` is 0.0"
    assert text.startswith(start)
    assert text.endswith(" descriptors/step.")


def test_a_broken_limit_is_the_answer(tmp_path):
    """Where no gauge leaks but a limit is broken, limit and worst reading are told."""
    limits = [Limit("fds", at_most=50)]
    text = figures.answer(judged(tmp_path, {"leaky": made.flat}, limits=limits)).text
    assert "**`leaky` breaks a limit**: fds ≤ 50 always, but the worst reading is 100." in text


def test_a_cost_that_grows_is_the_answer(tmp_path):
    """Where a cost must not depend on a size and does, its exponent is told."""
    scenario = captures.scenario(control="entries", sweeps=[Sweep("cost", "rows")])
    trace = made.trace(lambda at, _: 2.0 ** (at % 5), gauge="cost", variant="leaky")
    captures.write(tmp_path, scenario, "leaky", trace.assign(rows=2.0 ** (trace["step"] % 5)))
    text = figures.answer(verdicts.judge(load.load(tmp_path))).text
    assert "`cost` grows with `rows` to the power of 1 [1, 1] (95 % CI)." in text


def test_nothing_read_is_told(tmp_path):
    """Of runs that ended before their first step the sentences say so instead of failing."""
    scenario = captures.scenario(control="entries")
    captures.write(tmp_path, scenario, "leaky", made.trace(made.flat).drop(columns="count"))
    judgement = verdicts.judge(load.load(tmp_path))
    assert figures.answer(judgement).text == "**`leaky` is undecided**: no gauge was read."
    assert figures.ends(judgement).text.startswith("No gauge was read")


def test_a_wait_for_the_collector_is_told_as_such(tmp_path):
    """What falls at each collection is counted, not called a rate."""
    scenario = captures.scenario(control="entries")
    trace = made.trace(made.flat, gauge="fds", waiting=2.0, variant="leaky")
    captures.write(tmp_path, scenario, "leaky", trace)
    text = figures.answer(verdicts.judge(load.load(tmp_path))).text
    assert "**`leaky` frees late**: `fds`: 20 descriptors freed only by the" in text


def test_too_short_a_run_is_undecided(tmp_path):
    """A run that cannot decide says so, and what it takes."""
    scenario = captures.scenario(control="entries")
    trace = made.trace(made.every(3), gauge="fds", steps=20, variant="leaky")
    captures.write(tmp_path, scenario, "leaky", trace)
    text = figures.answer(verdicts.judge(load.load(tmp_path))).text
    assert "**`leaky` is undecided**: `fds`: only 2 collections" in text


def test_the_expectation_names_the_control(tmp_path):
    """What each variant's file declares is said, and which gauge is the control."""
    judgement = judged(tmp_path, {"leaky": made.ramp(1.0), "fixed": made.flat})
    judgement.variants["leaky"].expect = {"fds": "leak"}
    text = figures.expectation(judgement).text
    assert "`leaky`: `fds` leak; `fixed`: clean." in text
    assert "The control is `entries`" in text


def test_the_ends_are_told_of_each_variant(tmp_path):
    """Last level and peak of the telling gauge, the fault first."""
    judgement = judged(tmp_path, {"fixed": made.flat, "leaky": made.ramp(1.0)})
    assert figures.ends(judgement).text == (
        "`fds` ended: `leaky` at 400 descriptors (peak 400 descriptors); "
        "`fixed` at 100 descriptors (peak 100 descriptors)."
    )


def test_the_worst_variant_is_found(tmp_path):
    """The variant to look at is the one with the worst verdict."""
    assert figures.worst(judged(tmp_path, {"leaky": made.flat, "fixed": made.ramp(1.0)})) == "fixed"


SITE = {"function": "keep", "file": "a.py", "line": 7, "bytes_per_step": 100.0, "share": 0.75}


@pytest.mark.parametrize(
    ("low", "told"),
    [
        (90.0, "100 B per step, at least 90 B, from `a.py:7` in `keep`, 75 % of the growth."),
        (100.0, "100 B per step from `a.py:7` in `keep`, 75 % of the growth."),
        (-1.0, "no line retains more memory with each step."),
        (float("nan"), "no line retains more memory with each step."),
        (None, "no memory profile."),
    ],
)
def test_the_guilty_line_is_named_only_if_it_surely_grows(tmp_path, low, told):
    """A line is accused only if the lower end of its interval grows, and a profile was taken."""
    variant = judged(tmp_path, {"leaky": made.flat}).variants["leaky"]
    variant.sites = [] if low is None else [Site(**{**SITE, "low": low})]
    assert figures.guilty(variant).text == f"`leaky`: {told}"


def test_the_guilty_line_is_named_per_second_where_seconds_are_counted():
    """Of a capture that counts seconds, the rate is one per second, and so is its absence."""
    site = Site(**{**SITE, "low": 90.0})
    sentence = wording.largest_site([site], "s", sentences.code)
    assert sentence.startswith("100 B per second, at least 90 B, from `a.py:7`")
    sentence = wording.largest_site([replace(site, low=0.0)], "s")
    assert sentence == "no line retains more memory with each second."


def test_growth_without_a_line_is_named_beside_the_line():
    """If more of the growth has no line than the first one has, the sentence says so."""
    nameless = {"function": "<no Python stack>", "file": "", "line": 0, "bytes_per_step": 900.0}
    sites = [
        Site(**{**SITE, "share": 0.1, "low": 90.0}),
        Site(**{**nameless, "share": 0.9, "low": 880.0}),
    ]
    assert wording.largest_site(sites, "step", sentences.code) == (
        "100 B per step, at least 90 B, from `a.py:7` in `keep`, 10 % of the growth. "
        "90 % of the growth is `<no Python stack>`, which has no line."
    )
    assert wording.largest_site(sites[1:], "step", sentences.code) == (
        "no line retains more memory with each step. "
        "90 % of the growth is `<no Python stack>`, which has no line."
    )


def test_a_name_from_elsewhere_stays_a_name():
    """Backticks and line ends in a function's name do not end the code it is written as."""
    site = Site(**{**SITE, "function": "`<b>\n\n# x`", "low": 100.0})
    assert "in `'<b> # x'`, 75 %" in wording.largest_site([site], "step", sentences.code)


def test_what_the_file_says_is_shown_once(tmp_path):
    """Title, claim with its seed and the rest of the docstring, in this order."""
    judgement = judged(
        tmp_path, {"leaky": made.flat}, seed="000#1", claim="it leaks", outcome="not reproduced"
    )
    judgement.scenario = {**judgement.scenario, "doc": "Made up.\n\nIn detail."}
    assert figures.about(judgement).text == (
        "**Made up.**\n\nSource 000#1: “it leaks”\n\nIn detail."
    )


@pytest.mark.parametrize(
    "doc",
    [
        "<img src=x>",
        "A `list<int>` of <b>.",
        r"\` <img> `",
        "a `\n\n<img> `",
        "# a `\nb` `<img>`",
        "``a` <img> `b",
        "<!-- `x` -->",
        "`\r- <https://a.b>`",
    ],
)
def test_no_tag_of_a_file_is_one_of_the_page(doc):
    """What only looks like code in Markdown hides no tag; code is as it was."""
    made_up = {"seed": "", "claim": "", "doc": f"Made up.\n\n{doc}"}
    text = sentences.described(made_up, "").text
    blocks = MarkdownIt("commonmark").parse(text)
    parsed = [*blocks, *(one for block in blocks for one in block.children or ())]
    assert not [one for one in parsed if one.type.startswith("html") or one.info == "auto"]
    assert "`list<int>`" in text or "list" not in doc


def test_backticks_in_names_end_no_code(tmp_path):
    """A gauge and variants that are named in someone else's capture stay code, with all of it."""
    judgement = judged(tmp_path, {"leaky": made.flat, "proposed": made.flat})
    judgement.scenario = {**judgement.scenario, "control": "a`<img>"}
    for variant in judgement.variants.values():
        variant.expect = {"b`<img>": "leak"}
        for gauge in variant.gauges:
            object.__setattr__(gauge, "gauge", "c`<img>")
    judgement.variants["proposed"].name = "d`<img>"
    for say in (figures.answer, figures.expectation, figures.ends):
        assert "`<img>" not in say(judgement).text
    assert "of `c'<img>` is" in figures.answer(judgement).text
    assert "`d'<img>` flat" in figures.answer(judgement).text
    assert "`b'<img>` leak; `proposed`" in figures.expectation(judgement).text
    assert "control is `a'<img>`:" in figures.expectation(judgement).text
    assert figures.ends(judgement).text.startswith("`c'<img>` ended")


def test_prose_is_markdown_and_text(tmp_path):
    """A notebook shows it as Markdown, a terminal as it stands."""
    prose = figures.Prose("**so**")
    assert prose._repr_markdown_() == repr(prose) == "**so**"


def test_code_of_somebody_is_called_by_its_name(tmp_path):
    """No sentence, table or figure calls it what it is called inside."""
    judgement = judged(tmp_path, {"workload": made.ramp(1.0)}, readings=["workload"])
    rows = made.trace(made.ramp(1.0), gauge="fds", variant="workload").assign(scenario="made/up")
    shown = [
        figures.answer(judgement).text,
        figures.ends(judgement).text,
        figures.guilty(judgement.variants["workload"]).text,
        figures.opened(judgement.variants["workload"]).text,
        figures.titled(judgement, "workload"),
        figures.outcome_table(judgement).html,
        figures.verdict_table(judgement.gauges).html,
        figures.timeline(rows, ["fds"], judgement.gauges).to_json(),
    ]
    assert [text for text in shown if "workload" in text] == []
    assert "`made/up` leaks" in shown[0]
