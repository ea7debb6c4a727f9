"""What a verdict says of who opened what leaks, from stored captures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from resleak import figures
from resleak.analysis import claims_table, handle_origins, verdicts
from resleak.analysis.handle_origins import Origin
from resleak.analysis.rows import Rows
from resleak.analysis.stacks import difference, joined, where
from resleak.analysis.verdicts import ScenarioVerdict
from resleak.captures import frames, load

LEAKY = "resleak/scenarios/arc/sqlite_connections.py:105 in create_policy"
KEPT = "leaky_error_kept"


@pytest.fixture(scope="module")
def captures(project: Path) -> frames.Captures:
    """Return the stored captures of the sqlite case."""
    return load.load(project / "data/captures/arc/sqlite_connections")


@pytest.fixture(scope="module")
def judged(captures: frames.Captures) -> ScenarioVerdict:
    """Judge all but the memory."""
    return verdicts.judge(frames.Captures(c for c in captures if c.instrument != "memray"))


def test_a_leak_has_its_origin_and_what_is_level_has_none(judged: ScenarioVerdict) -> None:
    """Each variant that leaks or waits names its own line; the fixed one names none."""
    origins = judged.frame.query("gauge == 'fds'").set_index("variant")["origin"]
    ends = origins.str.extract(r":(\d+) in create_policy$")[0].fillna("")
    assert ends.to_dict() == {
        **dict.fromkeys(("leaky", "leaky_error_kept"), "105"),
        **dict.fromkeys(("proposed", "proposed_success_only", "proposed_error_kept"), "120"),
        "fixed": "",
    }
    assert set(judged.frame.query("gauge != 'fds'")["origin"]) == {""}


def test_sentence_and_json_name_the_line(judged: ScenarioVerdict) -> None:
    """The verdict in words, as JSON and in the table of all claims says where it was opened."""
    assert f"fds leak 1 descriptor/step [1, 1], opened at {LEAKY}" in judged.sentence(KEPT)
    told = judged.to_dict()["variants"]
    assert told[KEPT]["gauges"]["fds"]["origin"] == LEAKY
    assert [one["line"] for one in told[KEPT]["origins"]] == [105]
    assert told["fixed"]["origins"] == []
    assert claims_table.claim_row(judged)["opened_at"] == LEAKY
    short = LEAKY.rpartition("/")[2]
    text = BeautifulSoup(figures.verdict_table(judged.frame).html, "html.parser").get_text()
    assert f"opened at {short}" in text


def test_prose_names_the_line_or_says_that_there_is_none(judged: ScenarioVerdict) -> None:
    """The sentence has rate, line and function; of a clean variant it says that nothing leaks."""
    place, function = LEAKY.split(" in ")
    said = f"`leaky_error_kept`: `fds` leak, 1 per step, opened at `{place}` in `{function}`."
    assert figures.opened(judged.variants[KEPT]).text == said
    assert (
        "no descriptor, socket, thread or process leaks"
        in figures.opened(judged.variants["fixed"]).text
    )
    assert (
        "No descriptor, socket, thread or process leaks"
        in figures.openings_table(judged.variants["fixed"]).html
    )


def test_names_of_others_are_escaped(judged: ScenarioVerdict) -> None:
    """A function's name from someone else's capture is text, not markup."""
    (origin,) = judged.variants[KEPT].origins
    named = replace(origin, function="<script>", file="`a`.py")
    shown = replace(judged.variants[KEPT], origins=Rows(Origin, [named]))
    assert "<script>" not in figures.openings_table(shown).html
    assert "`'a'.py:105`" in figures.opened(shown).text


def test_where_no_stack_is_known_it_says_so(judged: ScenarioVerdict) -> None:
    """What a library opened by itself has no line, and none is made up."""
    (origin,) = judged.variants[KEPT].origins
    unknown = Rows(Origin, [replace(origin, function="<no Python stack>", file="", line=0)])
    shown = replace(judged.variants[KEPT], origins=unknown)
    assert "opened at an unknown place" in figures.opened(shown).text
    assert handle_origins.first_places(unknown) == {}


def test_the_flame_graph_counts_descriptors(captures: frames.Captures) -> None:
    """All 120 descriptors of the run stand below one frame; the fixed code has none of them."""
    leaky, fixed = (handle_origins.growth(captures.select(variant=v)) for v in (KEPT, "fixed"))
    flame = figures.flamegraph(leaky, unit="descriptors")
    assert flame.payload["unit"] == "descriptors"
    assert flame.table[["function", "line", "per_step", "share"]].values.tolist() == [
        ["create_policy", 105, 1.0, 1.0]
    ]
    assert leaky.changes["bytes"].sum() == 120
    before, after = joined(fixed, leaky)
    drawn = figures.flamegraph(after, before=before, unit="descriptors")
    assert drawn.table["change"].tolist() == [1.0]
    assert difference(before, after)["state"].tolist() == ["new"]


def test_filters_choose_by_kind(captures: frames.Captures) -> None:
    """A filter takes the kind of a handle for its allocator."""
    from resleak.analysis.stacks import only, sites

    allocations = handle_origins.as_allocations(captures.select(variant=KEPT))
    assert sites(only(allocations, where(allocator="sqlite3")))["line"].tolist() == [105]
    assert sites(only(allocations, where(allocator="socket"))).empty


def test_ages_grow_from_the_step_of_creation(captures: frames.Captures) -> None:
    """Of what leaks one was created in each step, and is as old as the steps since."""
    listed = handle_origins.table(captures.select(variant=KEPT))
    kept = listed[(listed["kind"] == "sqlite3") & listed["open"]]
    assert kept["created_step"].tolist() == list(range(1, 151))
    assert kept["age"].tolist() == [float(150 - step) for step in range(1, 151)]
    assert set(kept["target"]) == {"<tmp>/policies.db"}
    assert not kept["deleted"].any()


def test_captures_without_handles_have_no_origin(captures: frames.Captures) -> None:
    """Captures made before handles were followed are judged as before."""
    alone = verdicts.judge(captures.select(instrument="gauges"))
    assert set(alone.frame["origin"]) == {""}
    assert handle_origins.table(captures.select(instrument="gauges")).empty
    unknown = handle_origins.growth(captures.select(instrument="gauges"))
    assert isinstance(unknown.frames, pd.DataFrame)
    assert unknown.captures == 0
