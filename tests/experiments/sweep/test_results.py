"""Verdicts of a sweep: corrected for its cells, of one host class, read from the store alone."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from bs4 import BeautifulSoup
from helpers import captures, sweeps
from helpers import traces as made

from resleak import figures
from resleak.captures import storage
from resleak.captures.store.store import Store
from resleak.errors import StoreError
from resleak.experiments.sweep import results
from resleak.experiments.sweep.results import CellNote, CellVerdict, SweepNote
from resleak.report import plain_pages

BIG, SMALL = {"cpu": "big", "release": "6.1"}, {"cpu": "small", "release": "6.1"}


def cell(number: int, p: float, verdict: str = "leak") -> CellVerdict:
    return CellVerdict(scenario=f"s{number}", variant="v", label="1.0", verdict=verdict, p=p)


def test_leaks_are_corrected_for_the_cells_of_a_sweep():
    """One p of 0.0005 among 100 cells is no leak; the same p among many of them is."""
    quiet = [cell(number, 0.8, "flat") for number in range(99)]
    alone = results.corrected([cell(99, 0.0005), *quiet])[0]
    assert alone.verdict == "inconclusive"
    assert alone.q == pytest.approx(0.05)
    assert results.corrected([cell(99, 1e-9), *quiet])[0].verdict == "leak"
    many = results.corrected([cell(number, 0.0005) for number in range(100)])
    assert {one.verdict for one in many} == {"leak"}


def test_what_is_no_test_is_not_corrected():
    """A cell that hangs or was never run keeps its word, and does not count as a test."""
    others = [cell(number, float("nan"), "hangs") for number in range(50)]
    corrected = results.corrected([cell(99, 0.0005), *others])
    assert [one.verdict for one in corrected[:2]] == ["leak", "hangs"]
    assert corrected[0].q == pytest.approx(0.0005)


def filled(folder, hosts, started="2026-01-01T00:00:00+00:00") -> tuple[Store, SweepNote]:
    """Store one leaking and one flat cell, with a run on each of these hosts."""
    store, cells = Store.made(str(folder / "store")), []
    for label, curve in (("1.0", made.ramp(1.0)), ("2.0", made.flat)):
        trace = made.trace(curve, gauge="fds", runs=len(hosts))
        captures.write(folder / label, captures.scenario(), "leaky", trace)
        keys = []
        for run, (path, host) in enumerate(
            zip(storage.folders(folder / label), hosts, strict=True), 1
        ):
            of = sweeps.spec(run=run, environment=label)
            manifest = replace(storage.read_manifest(path), host=host, started=started)
            store.put(of, manifest, path.glob("*.parquet"), 1.0, "host")
            keys.append(of.key)
        cells.append(CellNote(scenario="made/up", variant="leaky", label=label, keys=keys))
    missing = CellNote(scenario="made/up", variant="leaky", label="3.0", keys=["0" * 32])
    absent = CellNote(scenario="made/up", variant="leaky", label="4.0", absent="cannot install it")
    note = SweepNote(plan="plan.toml", cells=[*cells, missing, absent])
    store.note("sweeps", "0123-4567", asdict(note))
    return store, note


def test_a_store_gives_the_verdicts_alone(tmp_path):
    """Cells are judged by what is stored; those that are not there say why."""
    store, note = filled(tmp_path, [BIG] * 3)
    result = results.judged(store, SweepNote.newest(store))
    assert result.note == note
    assert [one.verdict for one in result.cells] == ["leak", "flat", "not run", "cannot run"]
    assert not result.is_complete
    assert result.sentence.startswith("4 cells: 1 leak, 1 flat, 1 not run, 1 cannot run. 6 of 7")
    json.dumps(result.to_dict(), allow_nan=False)


def test_cells_with_the_same_runs_keep_their_labels(tmp_path):
    """Two requirements that resolve to the same environment share their runs."""
    store, note = filled(tmp_path, [BIG] * 3)
    first = note.cells[0]
    twice = replace(note, cells=[first, replace(first, label="latest")])
    assert [one.label for one in results.judged(store, twice).cells] == ["1.0", "latest"]


def test_runs_of_another_host_class_are_left_out(tmp_path):
    """A cell is judged by the runs of one host class, and says how many others it has."""
    store, note = filled(tmp_path, [BIG, SMALL, BIG, BIG])
    leak = results.judged(store, note).cells[0]
    assert "1 runs of other host classes left out" in leak.sentence
    assert leak.gauges[0].runs == 3
    assert leak.host_class == "6.1, big, default"


@pytest.mark.parametrize("started", ["1970-01-01T00:00:00+00:00", "2199-12-31T23:59:59+00:00"])
def test_a_wrong_clock_changes_no_verdict(tmp_path, started):
    """Runs of a host whose clock is decades off have the keys and verdicts of all others."""
    (tmp_path / "right").mkdir()
    right, note = filled(tmp_path / "right", [BIG] * 3)
    wrong, _ = filled(tmp_path, [BIG] * 3, started)
    assert wrong.keys() == right.keys()
    assert repr(results.judged(wrong, note)) == repr(results.judged(right, note))


@pytest.mark.parametrize(
    "damage", [{"cells": 3}, {"cells": [{"scenario": 1}]}, {"cells": [{"keys": ["../x"]}]}, []]
)
def test_a_foreign_sweep_is_checked(tmp_path, damage):
    """The note of a sweep that is not as we write it is refused with one line."""
    store, note = filled(tmp_path, [BIG])
    value = asdict(note)
    value = {**value, **damage} if isinstance(damage, dict) else damage
    if isinstance(damage, dict) and isinstance(damage["cells"], list):
        value["cells"] = [{**asdict(note.cells[0]), **damage["cells"][0]}]
    store.note("sweeps", "0123-4567", value)
    with pytest.raises(StoreError, match="sweep 0123-4567 in the store is damaged"):
        SweepNote.newest(store)


@pytest.mark.parametrize("name", [[1], {"a": 1}, None, 5, "x"])
def test_a_damaged_note_of_a_canary_is_passed_over(tmp_path, name):
    """A note that names no run is no control, and no obstacle."""
    store, note = filled(tmp_path, [BIG] * 3)
    store.note("canaries", "host-20260101T00", name)
    verdicts = [one.verdict for one in results.judged(store, note).cells]
    assert verdicts[:2] == ["leak", "flat"]


def test_the_report_links_each_cell_to_its_part(tmp_path):
    """The page is one file without scripts; each cell of the matrix leads to its numbers."""
    store, note = filled(tmp_path, [BIG] * 3)
    page = plain_pages.write_sweep(results.judged(store, note), tmp_path / "sweep.html")
    soup = BeautifulSoup(page.read_text(), "html.parser")
    links = [link["href"].removeprefix("#") for link in soup.select("table a")]
    assert len(links) == 4
    assert {section["id"] for section in soup.select("section")} == set(links)
    assert "descriptor" in soup.find(id=links[0]).get_text()
    assert not soup.select("script, link, img[src^=http]")


def test_names_of_others_are_text_in_the_matrix():
    """A scenario, a label and a sentence of a foreign store cannot be markup."""
    bad = "<img src=x onerror=alert(1)>"
    one = replace(cell(1, 0.1), scenario=bad, label=bad, sentence=f'"{bad}', params=bad)
    result = results.SweepResult(SweepNote(plan=bad, cells=[]), results.Rows(CellVerdict, [one]))
    for html in (figures.sweep_matrix(result, link="#").html, figures.sweep_cell(one)):
        assert not BeautifulSoup(html, "html.parser").select("img")


def test_packages_of_their_own_have_rows_of_their_own_labels():
    """Where each row has its own versions, a cell names its version instead of a head."""
    ours = [replace(cell(1, 0.1), label=label) for label in ("a==1", "a==2")]
    theirs = [replace(cell(2, 0.1), label="b==1")]
    text = figures.sweep_text([*ours, *theirs]).text()
    assert text.splitlines()[0].split("  ")[1] == "a==1: leak"
    assert "b==1: leak" in text
