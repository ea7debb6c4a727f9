"""Stored captures say who is to blame, in sentences and in tables that escape what they show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from resleak import figures
from resleak.analysis.gauge_verdict import GaugeVerdict, by_gauge
from resleak.analysis.inspection import Culprits, Filling, inspected, without_filling
from resleak.analysis.verdicts import ScenarioVerdict, judge
from resleak.captures import load

FILE = "resleak/scenarios/embedder/worker_keeps_process_alive.py"
HANGS = {"run": {"hangs"}}
CACHE = Filling("cache", 300, 1024, 1.0, entry_bytes=500, entry_objects=0, steps=300)


@pytest.fixture(scope="module")
def worker(project: Path) -> ScenarioVerdict:
    """Return what was found of a worker that nobody stops."""
    return judge(load.load(project / "data/captures/embedder/worker_keeps_process_alive"))


def line(project: Path, text: str) -> int:
    lines = (project / FILE).read_text(encoding="utf-8").splitlines()
    return next(number for number, one in enumerate(lines, 1) if text in one)


def test_one_sentence_says_who_and_where(worker: ScenarioVerdict, project: Path) -> None:
    """The thread, that it is no daemon, where it was started, and what it waits in."""
    started, waits = line(project, "self.writer.start()"), line(project, "self.rows.get()")
    assert worker.variants["leaky"].because == [
        f"does not end: thread 'writer' (not a daemon), started at {FILE}:{started}"
        f" Embedder.__init__, waits in queue.get at {FILE}:{waits} Writer.run"
    ]


def test_a_forced_end_says_whom_it_cuts_off(worker: ScenarioVerdict) -> None:
    """The seed's forced exit is named with its thread, and so is the worker that it ends."""
    (told,) = worker.variants["proposed_forced_exit"].because
    assert told.startswith("ends by force: os._exit in thread 'Thread-1', started at ")
    assert "it cuts off thread 'writer'" in told


def test_a_clean_variant_blames_nobody(worker: ScenarioVerdict) -> None:
    """The fixed variant was inspected as well, and nothing is said of it."""
    assert worker.variants["fixed"].culprits.status == "exited"
    assert worker.variants["fixed"].because == []


def test_the_timeline_has_a_bar_for_each(worker: ScenarioVerdict, project: Path) -> None:
    """Who held up the end, for how long, and at which line, stands in the table."""
    table = figures.end_timeline(worker)
    (row,) = table.frame[table.frame["variant"].eq("leaky")].to_dict(orient="records")
    assert (row["what"], row["name"], row["holds"]) == ("thread", "writer", True)
    assert row["seconds"] > 2
    assert f"worker_keeps_process_alive.py:{line(project, 'self.rows.get()')}" in table.html


def test_what_was_not_inspected_says_nothing(project: Path) -> None:
    """Without a run that was inspected there are no sentences, and no tables to read."""
    captures = load.load(project / "data/captures/control")
    assert inspected(captures).sentences(HANGS) == []


def test_what_could_not_be_seen_is_said() -> None:
    """A process that hangs and told nothing of itself is no reason to blame anybody."""
    blank = Culprits(status="hung")
    assert blank.sentences(HANGS) == ["does not end: the cause is unknown"]


def test_names_are_escaped(worker: ScenarioVerdict) -> None:
    """A thread may be called anything: a table shows it as text."""
    exits = pd.DataFrame(
        [dict.fromkeys(("what", "state", "at", "waits_in", "loop", "made_at"), "")]
    )
    exits = exits.assign(name="<script>", daemon="no", holds=True, seconds=1.0)
    exits = exits.assign(first_s=0.0, last_s=1.0, what="thread")
    named = replace(worker.variants["leaky"], culprits=Culprits(status="hung", exit=exits))
    judged = ScenarioVerdict(worker.scenario, {"leaky": named})
    assert "<script>" not in figures.end_timeline(judged).html
    assert "&lt;script&gt;" in figures.end_timeline(judged).html


def leaks(**rates: float) -> list[GaugeVerdict]:
    families = {"heap": "memory", "native": "memory", "blocks": "objects", "objects": "objects"}
    return [
        GaugeVerdict(
            gauge=name, family=families.get(name, "resident"), verdict="leak", per_step=one
        )
        for name, one in rates.items()
    ]


def test_what_explains_the_heap_explains_blocks_objects_and_pages() -> None:
    """None of these is called a leak where the entries of a filling cache take the heap's bytes."""
    found = list(without_filling(leaks(heap=800, blocks=60, objects=20, rss=1300), [CACHE]))
    assert {one.verdict for one in found} == {"inconclusive"}
    assert all(one.reason.startswith("filling: 300 of 1,024 in cache") for one in found)


@pytest.mark.parametrize(
    ("rates", "still"),
    [({"heap": 2000, "blocks": 60, "rss": 2000}, {"heap", "blocks", "rss"}),
     ({"heap": 800, "rss": 4000}, {"rss"}), ({"rss": 4000}, {"rss"})],
)  # fmt: skip
def test_what_is_not_explained_stays_a_leak(rates: dict[str, float], still: set[str]) -> None:
    """More heap than the entries take, or many more pages than heap, is a leak all the same."""
    found = by_gauge(without_filling(leaks(**rates), [CACHE]))
    assert {name for name, one in found.items() if one.is_leak} == still


def test_nothing_is_explained_by_nothing() -> None:
    """Without a filling container a leak stays one."""
    assert all(one.is_leak for one in without_filling(leaks(heap=1, blocks=0.1), []))
