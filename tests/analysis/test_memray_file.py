"""Captures of other programs become tables, and the tables say what they cannot answer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import foreign

import resleak
from resleak import figures
from resleak.analysis import memray_file
from resleak.analysis.memray_file import Recording, open_memray
from resleak.captures import files
from resleak.errors import StoreError
from resleak.report import ANSWERS

memray = pytest.importorskip("memray")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return foreign.record(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def opened(plain: Path) -> Recording:
    return open_memray(plain)


def test_the_leak_of_another_program_comes_first(opened: Recording) -> None:
    """The line that keeps 2000 bytes at a time is first, with nearly all of the growth."""
    first = opened.sites.iloc[0]
    assert (first["file"], first["function"], first["line"]) == foreign.LEAK
    assert first["low"] > 0
    assert first["share"] > 0.9
    each = 2 * first["bytes_per_step"] / first["count_per_step"]  # the object, and its buffer
    assert each == pytest.approx(2057, rel=0.05)
    assert " is left after " in opened.summary
    assert "from app/store.py:3 in keep, " in opened.summary


def test_what_is_kept_of_the_ranking_is_the_ranking(opened: Recording) -> None:
    """The sites and the drawing that the reader stored are those that the tables give."""
    again = resleak.sites([opened])
    pd.testing.assert_frame_equal(opened.sites, again, check_exact=True)
    assert opened.sites.attrs == again.attrs
    rows = opened.rows.frame.drop(columns="source")
    assert rows.to_dict("records") == opened.sites.to_dict("records")
    assert (
        opened.answer("drawing", ANSWERS["drawing"])
        == figures.flamegraph(resleak.profile([opened])).payload
    )


def test_a_recording_stands_where_a_capture_does(opened: Recording) -> None:
    """Sites and profiles take a recording as they take our own captures."""
    assert resleak.sites([opened]).iloc[0]["function"] == "keep"
    profile = resleak.profile([opened])
    assert profile.per == "s"
    assert profile.edges[-1] == pytest.approx(opened.integrity[0]["duration_s"], rel=0.01)


def test_all_that_was_left_is_accounted_for(plain: Path, opened: Recording) -> None:
    """The changes add up, stack by stack, to what memray says was left at the end."""
    with memray.FileReader(plain) as reader:
        left = list(reader.get_leaked_allocation_records(merge_threads=True))
    live = opened.table("live")
    assert live["bytes"].sum() == sum(record.size for record in left)
    assert live["count"].sum() == sum(record.n_allocations for record in left)
    kept = opened.frames.set_index("function").loc["keep"]
    ours = [r for r in left if r.stack_trace(1) and r.stack_trace(1)[0][0] == "keep"]
    assert kept["bytes"] == sum(record.size for record in ours)


def test_the_heap_is_memrays_at_every_snapshot(plain: Path, opened: Recording) -> None:
    """At each snapshot that is a mark the changes so far are exactly what memray counted then."""
    with memray.FileReader(plain) as reader:
        heap = [snapshot.heap for snapshot in reader.get_memory_snapshots()]
    marks = opened.table("marks")
    assert opened.table("snapshots")["heap_bytes"].tolist() == heap
    inner = marks["heap_bytes"].iloc[1:-1].tolist()
    assert inner == heap[:: -(-len(heap) // len(inner))]
    assert len(inner) > 8
    assert (np.diff(marks["step"]) >= 0).all()
    assert opened.integrity[0]["heap_off_bytes"] == 0


def test_what_is_stored_tells_no_home(plain: Path, opened: Recording) -> None:
    """No file is named by an absolute path, and the folder's name is nowhere in the tables."""
    assert not opened.table("stacks")["file"].str.contains(r"^/|/home/|/tmp/").any()
    for file in plain.with_name("some.bin.resleak").iterdir():
        assert str(plain.parent).encode() not in file.read_bytes()


def test_it_opens_again_without_the_file(plain: Path, opened: Recording, tmp_path: Path) -> None:
    """The tables are enough, and nothing is read when they are there."""
    shutil.copytree(plain.with_name("some.bin.resleak"), tmp_path / "some.bin.resleak")
    again = open_memray(tmp_path / "some.bin")
    assert again.sites.equals(opened.sites)
    with pytest.raises(StoreError, match="is gone"):
        again.table("peak")


def test_a_file_that_changed_is_read_again(tmp_path: Path, plain: Path, opened: Recording) -> None:
    """Tables of another size, time or version are not believed."""
    copy = Path(shutil.copy2(plain, tmp_path))
    before = open_memray(copy)
    told = tmp_path / "some.bin.resleak" / "recording.json"
    stamp = told.stat().st_mtime_ns
    assert open_memray(copy).sites.equals(before.sites)
    assert told.stat().st_mtime_ns == stamp
    os.utime(copy, ns=(1, 1))
    open_memray(copy)
    assert told.stat().st_mtime_ns != stamp
    stamp = told.stat().st_mtime_ns
    files.write_json(told, json.loads(told.read_text()) | {"schema": -1})
    open_memray(copy)
    assert json.loads(told.read_text())["schema"] == memray_file.SCHEMA


def test_damaged_tables_are_read_again(
    tmp_path: Path, plain: Path, opened: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was changed in what is kept, the file is read again, or its absence is said."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    copy, kept = Path(shutil.copy2(plain, tmp_path)), tmp_path / "some.bin.resleak"
    open_memray(copy, answers=ANSWERS)
    facts = json.loads((kept / "recording.json").read_text())
    changes = [{name: value} for name in facts for value in (None, [], {}, "x", -1, 1e300)]
    changes += [{"processes": [{**facts["processes"][0], name: "x"}]} for name in ("name", "pid")]
    contents = [("recording.json", json.dumps(facts | one).encode()) for one in changes[::3]]
    contents += [(file.name, b"{}") for file in kept.iterdir()]
    contents += [(file.name, file.read_bytes()[:-9]) for file in kept.iterdir()]
    assert {"sites.json", "drawing.json", "live.parquet", "marks.parquet"} <= dict(contents).keys()
    for name, content in contents:
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        (kept / name).write_bytes(content)
        again = open_memray(copy, answers=ANSWERS)
        assert again.summary == opened.summary
        assert again.integrity == opened.integrity
        assert again.table("live").equals(opened.table("live"))
        if again.warnings:  # nothing says any more that the folder is ours: it is left alone
            assert (name, (kept / name).read_bytes()) == ("recording.json", content)
            shutil.rmtree(kept)
            open_memray(copy, answers=ANSWERS, fresh=True)
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    (kept / "marks.parquet").write_bytes(b"")
    copy.unlink()
    with pytest.raises(StoreError, match="missing"):
        open_memray(copy)


def test_a_folder_that_cannot_be_written_is_no_obstacle(
    tmp_path: Path, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables are then kept in the cache folder, which is said, and found again."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    copy = Path(shutil.copy2(plain, tmp_path))
    (tmp_path / "some.bin.resleak").write_text("in the way of the folder")
    found = open_memray(copy)
    assert any("cache folder" in sentence for sentence in found.warnings)
    assert len(list((tmp_path / "cache" / "resleak").iterdir())) == 1
    assert open_memray(copy).sites.equals(found.sites)


def test_a_file_of_the_users_beside_the_tables_stays(
    tmp_path: Path, plain: Path, opened: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables that are made again go elsewhere if somebody put a file beside the earlier ones."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = shutil.copy(plain, tmp_path / "some.bin")
    note = tmp_path / "some.bin.resleak" / "notes.txt"
    shutil.copytree(plain.with_name("some.bin.resleak"), note.parent)
    note.write_text("mine")
    again = open_memray(file, fresh=True)
    assert len(again.warnings) == len(opened.warnings) + 1  # the tables are elsewhere
    assert note.read_text() == "mine"


def test_the_peak_and_what_was_temporary_come_when_asked_for(
    plain: Path, opened: Recording
) -> None:
    """They are read on demand, and the peak is memray's."""
    with memray.FileReader(plain) as reader:
        peak = reader.metadata.peak_memory
    assert opened.table("peak")["bytes"].sum() == peak
    temporary = opened.table("temporary").groupby("node")["bytes"].sum()
    assert set(temporary.index) <= set(opened.table("stacks")["node"])
    assert resleak.sites([opened]).iloc[0]["function"] == "keep"


def test_threads_are_told_apart(tmp_path: Path) -> None:
    """Each thread's share of the leak has its name."""
    found = open_memray(foreign.record(tmp_path, kind="threads", seconds=0.3))
    live = found.table("live")
    kept = live[live["node"].isin(found.table("stacks").query("function == 'keep'")["node"])]
    by_thread = kept.groupby("thread")["bytes"].sum()
    assert {"worker 0", "worker 1", "worker 2"} <= set(by_thread[by_thread > 10_000].index)


def test_forked_children_are_merged_when_they_are_there(tmp_path: Path) -> None:
    """Each process has a node of its own above its stacks, and the leak adds up."""
    capture = foreign.record(tmp_path, kind="fork", follow_fork=True, seconds=0.4)
    (tmp_path / "some.bin.note").write_text("no process")
    both, alone = open_memray(capture), open_memray(capture, children=False)
    tops = both.table("stacks")[both.table("stacks")["parent"] < 0]["function"]
    assert tops.str.fullmatch(r"process \d+").all()
    assert len(tops) == 2
    assert not alone.table("stacks")["function"].str.startswith("process ").any()
    one, two = (found.frames.set_index("function").loc["keep", "bytes"] for found in (alone, both))
    assert two > 1.5 * one
    assert both.sites.iloc[0]["function"] == "keep"
    assert any("2 processes" in sentence for sentence in both.warnings)


def test_a_damaged_child_is_left_out(tmp_path: Path) -> None:
    """The rest is read, and the damage is told."""
    capture = foreign.record(tmp_path, seconds=0.1)
    (tmp_path / "some.bin.77").write_bytes(b"not of memray")
    found = open_memray(capture)
    assert len(found.integrity) == 1
    assert any(
        "left out: some.bin.77 is not a file that memray wrote" in told for told in found.warnings
    )


def test_sums_only_are_told_to_be_no_history(tmp_path: Path) -> None:
    """Of an aggregated capture there is what was left, and a sentence about what there is not."""
    capture = foreign.record(tmp_path, file_format="AGGREGATED_ALLOCATIONS")
    found = open_memray(capture)
    assert "neither growth over time nor temporary" in found.warnings[0]
    assert found.sites.iloc[0]["function"] == "keep"
    assert found.sites["low"].isna().all()
    assert len(found.table("marks")) == 2
    with memray.FileReader(capture) as reader:
        left = sum(r.size for r in reader.get_leaked_allocation_records(merge_threads=True))
    assert found.table("live")["bytes"].sum() == left
    assert found.table("peak")["bytes"].sum() >= left
    with pytest.raises(StoreError, match="sums only"):
        found.table("temporary")


def test_native_frames_stand_below_the_line_that_called_them(tmp_path: Path) -> None:
    """The leak's site is the line of Python, whatever native frames lie below it."""
    found = open_memray(foreign.record(tmp_path, native_traces=True, trace_python_allocators=False))
    assert found.sites.iloc[0]["function"] == "keep"
    node = found.table("stacks")[found.table("stacks")["function"] == "keep"]["node"]
    below = found.table("stacks")[found.table("stacks")["parent"].isin(node)]
    assert len(below)
    assert below["file"].str.startswith("<native>").all()
    assert found.integrity[0]["looked_up"] > 0.5
    assert set(found.table("stacks").loc[found.table("stacks")["parent"] < 0, "file"]) == {"run.py"}


def test_deep_recursion_is_kept_whole(tmp_path: Path) -> None:
    """A stack of 900 calls has as many nodes, and its site is found."""
    found = open_memray(foreign.record(tmp_path, kind="deep"))
    assert len(resleak.profile([found]).frames) > 900
    assert found.sites.iloc[0]["function"] == "keep"


def test_a_file_that_was_never_closed_lasts_to_its_last_snapshot(tmp_path: Path) -> None:
    """The header of a killed program's file has no end, which is no duration of nothing."""
    found = open_memray(foreign.record(tmp_path, kind="killed", compress=False))
    (facts,) = found.integrity
    assert facts["duration_s"] == facts["last_snapshot_s"] > 0.01
    assert "after 0.001 s" not in found.summary


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"kind": "profiled"}, "have no Python stack"),
        ({"kind": "killed", "compress": False}, "was never closed"),
        ({"kind": "reserves"}, "ARROW_DEFAULT_MEMORY_POOL=system"),
        ({"trace_python_allocators": False}, "record with --trace-python-allocators"),
    ],
    ids=["profiled", "killed", "reserves", "arenas"],
)
def test_what_spoils_a_capture_is_told(
    tmp_path: Path, options: dict[str, object], told: str
) -> None:
    """Each thing that would mislead a reader has its sentence; a sound capture has none."""
    found = open_memray(foreign.record(tmp_path, seconds=0.3, **options))
    assert any(told in sentence for sentence in found.warnings)


def test_a_sound_capture_needs_no_caution(opened: Recording) -> None:
    """Of a capture in which all is well, nothing is told but what it says."""
    assert opened.warnings == []
    assert "to know" not in repr(opened)


def test_a_file_cut_off_tells_how_much_is_left(tmp_path: Path) -> None:
    """A capture that lost its end is read up to there, and the share of its records is told."""
    whole = foreign.record(tmp_path, compress=False)
    cut = tmp_path / "cut.bin"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.5)])
    found = open_memray(cut)
    assert any("cut off: it has" in sentence for sentence in found.warnings)
    marks = found.table("marks")
    assert marks["t_s"].iloc[-1] < 0.8 * found.integrity[0]["duration_s"]
    assert found.sites.iloc[0]["function"] == "keep"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "resleak", "open", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_prints_the_line_and_writes_a_report(
    plain: Path, opened: Recording, tmp_path: Path
) -> None:
    """It names the line on the terminal, and writes one page without a path of this machine."""
    ran = run(str(plain), "-o", str(tmp_path / "report.html"), "--top", "1")
    assert ran.returncode == 0, ran.stderr
    assert "app/store.py:3" in ran.stdout
    html = (tmp_path / "report.html").read_text()
    assert "some.bin" in html
    assert "from app/store.py:3 in keep" in html
    assert str(plain.parent) not in html


def test_the_command_writes_json(plain: Path, opened: Recording) -> None:
    """The JSON has the warnings, the facts and the sites, and no more sites than asked."""
    told = json.loads(run(str(plain), "--json", "--top", "1").stdout)
    assert told["per"] == "s"
    assert [site["function"] for site in told["sites"]] == ["keep"]
    assert told["integrity"][0]["name"] == "some.bin"
    assert told["warnings"] == []


@pytest.mark.parametrize("name", ["nothing.bin", "x" * 300])
def test_the_command_fails_in_one_line(tmp_path: Path, name: str) -> None:
    """A file that is none, if only for its name's length, gives exit code 2 and one sentence."""
    ran = run(str(tmp_path / name))
    assert ran.returncode == 2
    shown = name if len(name) < 255 else f"{name[:60]}…{name[-20:]}"
    assert ran.stderr == f"resleak: {shown} is missing: there is no such file\n"


def test_what_was_begun_for_wrong_arguments_is_dropped(tmp_path: Path, plain: Path) -> None:
    """Reading begins before the arguments are known; if they are wrong, nothing of it is left."""
    copy = Path(shutil.copy(plain, tmp_path / "copy.bin"))
    ran = run(str(copy), "--nonsense")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "--nonsense" in ran.stderr
    assert [*tmp_path.iterdir()] == [copy]
