"""Captures travel inside a report and come out as they were; those of strangers are doubted."""

from __future__ import annotations

import base64
import io
import json
import lzma
import os
import shutil
import tarfile
from dataclasses import asdict, replace
from pathlib import Path

import nbformat
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bs4 import BeautifulSoup
from helpers.stored import unpacked

import resleak
from resleak import figures
from resleak.captures import archive, load, pack, storage, tables
from resleak.errors import CaptureError, StoreError
from resleak.report import collect, html_page, summary
from resleak.report.redact import Redactor

#: What a stranger may call a function, a file or a scenario.
HARM = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
TURNED, LONG = "safe\u202etxt.exe", "x" * 5_000


@pytest.fixture(scope="module")
def stored(project) -> Path:
    return project / "data" / "captures" / "arc" / "auth_cache"


@pytest.fixture(scope="module")
def sent(stored, tmp_path_factory) -> Path:
    """Return a report that was made from stored captures."""
    text, left_out = pack.pack(storage.folders(stored), str)
    assert left_out == []
    path = tmp_path_factory.mktemp("sent") / "report.html"
    path.write_text(
        html_page.Page(nbformat.v4.new_notebook(), archive=text).html(), encoding="utf-8"
    )
    return path


def test_captures_come_back_whole(stored, sent):
    """Every table of every capture in a report equals the one that went in, with its units."""
    before, after = resleak.load(stored), resleak.load(sent)
    assert [repr(c) for c in after] == [repr(c) for c in before]
    for one, other in zip(before, after, strict=True):
        assert replace(other.manifest, env={}) == replace(one.manifest, env={})
        for path in storage.table_files(one.path):
            pd.testing.assert_frame_equal(one.table(path.stem), other.table(path.stem))
            assert one.table(path.stem).attrs == other.table(path.stem).attrs


def test_a_report_is_judged_as_its_captures_are(stored, sent):
    """The verdicts on what a report holds are those on the folder it was made of."""
    assert str(resleak.judge(resleak.load(sent))) == str(resleak.judge(resleak.load(stored)))


def test_stacks_wait_for_what_matters_more(project, monkeypatch):
    """Where there is no room for everything, the gauges are in and the stacks are left out."""
    monkeypatch.setattr(pack, "MOST_TEXT", 60_000)
    folders = storage.folders(project / "data" / "captures" / "arc" / "auth_cache")
    text, left_out = pack.pack(folders, str)
    assert 10_000 < len(text) <= 60_000
    assert {storage.read_manifest(folder).instrument for folder in left_out} == {"memray"}


def test_what_is_private_in_a_capture_stays_here(stored):
    """Names of files and functions go through the redactor, and the environment is left out."""
    redactor = Redactor([], "raw_decode", "auth_cache", {})
    text, _ = pack.pack(storage.folders(stored), redactor.text)
    packed = lzma.decompress(base64.b64decode(text))
    assert b"raw_decode" not in packed
    assert b"GLIBC_TUNABLES" not in packed
    assert b"[user]" in packed
    assert redactor.counts["user name"] > 0


def packed(**files: bytes) -> str:
    """Return files as a report would hold them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return base64.b64encode(lzma.compress(buffer.getvalue())).decode()


def linked() -> str:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:") as tar:
        member = tarfile.TarInfo("a/b/c/manifest.json")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(member)
    return base64.b64encode(lzma.compress(buffer.getvalue())).decode()


def twice() -> str:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:") as tar:
        for _ in range(2):
            tar.addfile(tarfile.TarInfo("a/b/c/manifest.json"))
    return base64.b64encode(lzma.compress(buffer.getvalue())).decode()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (packed(**{"../../../x/manifest.json": b"{}"}), "has no place in a capture"),
        (packed(**{"/a/b/c/manifest.json": b"{}"}), "has no place in a capture"),
        (packed(**{"a/b/c/manifest.py": b"import os"}), "has no place in a capture"),
        (linked(), "has no place in a capture"),
        (twice(), "has no place in a capture"),
        (base64.b64encode(lzma.compress(bytes(3 << 20))).decode(), "more than 1 MiB"),
        (packed(**{"a/b/c/manifest.json": b"{}"})[:80], "damaged: cut off"),
        (base64.b64encode(b"no xz").decode(), "are damaged"),
        ("abc", "are damaged"),
        (packed(**{"a/b/c/manifest.json": b"{}"}), "has schema None"),
        (packed(), "there is no complete capture"),
    ],
)
def test_what_is_not_as_we_write_it_is_refused(tmp_path, monkeypatch, text, told):
    """Paths that lead out, links, programs, bombs and damage get one line, and write nothing."""
    monkeypatch.setattr(archive, "_MOST_BYTES", 1 << 20)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    sent = tmp_path / "sent.html"
    sent.write_text(f"<p>{archive.script(text)}")
    with pytest.raises(StoreError, match=told) as error:
        resleak.load(sent)
    assert "\n" not in str(error.value)
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path != sent]
    assert left == [p for p in left if p.name == "manifest.json" and "no place" not in told]


def test_packed_twice_the_bytes_are_the_same(stored, tmp_path):
    """A folder, and what its archive is unpacked to, give one archive, with every table in it."""
    for source, target in ((stored, "one"), (tmp_path / "one", "two")):
        pack.write(tmp_path / target / archive.NAME, storage.folders(source))
    first, second = ((tmp_path / name / archive.NAME).read_bytes() for name in ("one", "two"))
    assert first == second
    before, after = (
        [
            f"{path.parent.name}/{path.name}"
            for one in storage.folders(place)
            for path in storage.table_files(one)
        ]
        for place in (stored, tmp_path / "two")
    )
    assert before == after
    assert len(before) > 30


def test_tables_wait_until_they_are_read(stored):
    """Of an archive only the manifests are unpacked, and no stacks for the sake of a trace."""
    archive._unpacked.cache_clear()
    captures = load.load(stored)
    root = archive.unpack(stored / archive.NAME)
    assert not list(root.rglob("*.parquet"))
    assert len(captures[0].trace)
    assert list(root.rglob("trace.parquet"))
    assert not list(root.rglob("live.parquet"))


def test_a_damaged_archive_costs_its_own_captures(stored, tmp_path):
    """A truncated archive is skipped with a warning that names it; the others are loaded."""
    shutil.copytree(stored, tmp_path / "whole")
    for name, end in (("no_manifests", 2000), ("no_tables", -2000)):
        (tmp_path / name).mkdir()
        content = (stored / archive.NAME).read_bytes()[:end]
        (tmp_path / name / archive.NAME).write_bytes(content)
    with pytest.warns(UserWarning, match=r"left out.*no_manifests.*damaged: cut off"):
        captures = load.load(tmp_path)
    assert len(captures) == 2 * len(load.load(stored))
    with pytest.raises(StoreError, match=r"no_tables.*damaged: cut off"):
        [storage.table_files(one.path) for one in captures]


def test_a_capture_replaces_its_variant_of_an_archive(stored, tmp_path):
    """A new capture beside an archive turns it into folders; the other variants stay whole."""
    place = tmp_path / "arc/auth_cache"
    shutil.copytree(stored, place)
    before = load.load(stored).select(variant="fixed")
    made = resleak.capture(
        "arc/auth_cache", out=tmp_path, variants=["leaky"], runs=1, steps=20, stacks=False
    )
    after = load.load(place)
    assert [one.path for one in after.select(variant="leaky")] == made
    assert [one.manifest for one in after.select(variant="fixed")] == [b.manifest for b in before]
    assert sorted(path.name for path in place.iterdir()) == ["fixed", "leaky"]
    assert len(storage.table_files(after.select(variant="fixed", instrument="memray")[0].path)) > 3


def test_an_interrupted_move_out_of_an_archive_is_finished(stored, tmp_path, monkeypatch):
    """After an interrupt between the folders and the archive, the next run finishes the move."""
    place = tmp_path / "arc/auth_cache"
    shutil.copytree(stored, place)
    rename = os.rename

    def rename_and_stop(*paths):
        rename(*paths)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(storage.os, "rename", rename_and_stop)
        with pytest.raises(KeyboardInterrupt), storage.claimed(place):
            pass
    assert (place / archive.NAME).exists()
    (place / f".{archive.NAME}.incomplete-1-0123abcd").mkdir()
    with storage.claimed(place):
        assert sorted(path.name for path in place.iterdir()) == ["fixed", "leaky"]
    before = [one.manifest for one in load.load(stored)]
    assert [one.manifest for one in load.load(place)] == before


def test_a_folder_beside_an_archive_is_not_taken_for_a_part_of_it(stored, tmp_path):
    """A variant's folder without the archive's captures stays, and so does the archive."""
    place = tmp_path / "arc/auth_cache"
    shutil.copytree(stored, place)
    (place / "leaky").mkdir()
    (place / "leaky" / "note.txt").write_text("mine")
    with pytest.raises(CaptureError, match="cannot write"), storage.claimed(place):
        pass
    assert (place / archive.NAME).exists()
    assert (place / "leaky" / "note.txt").read_text() == "mine"


@pytest.mark.parametrize("content", ["", "<p>hello", "<script type='application/x-xz'>x</script>"])
def test_what_is_no_report_is_told(tmp_path, content):
    """A file without captures gets a line that says how to make one that has some."""
    page = tmp_path / "page.html"
    page.write_text(content)
    with pytest.raises(StoreError, match="not a report with captures in it: `resleak share`"):
        resleak.load(page)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Path:
    """Return captures in which every name of a function, a file and the scenario means harm."""
    folder = tmp_path_factory.mktemp("hostile")
    shutil.copytree(unpacked("arc/auth_cache") / "leaky", folder / "leaky")
    for found in storage.folders(folder):
        told = json.loads((found / "manifest.json").read_text())
        told["scenario"] |= {"name": HARM, "title": TURNED + HARM, "doc": HARM, "claim": HARM}
        (found / "manifest.json").write_text(json.dumps(told))
        for path in found.glob("stacks.parquet"):
            table = tables.read_table(path)
            names = pa.array([HARM + TURNED + LONG] * len(table))
            for column in ("function", "file"):
                at = table.schema.get_field_index(column)
                table = table.set_column(at, table.schema.field(at), names)
            pq.write_table(table, path)
    return folder


@pytest.fixture(scope="module")
def told(hostile) -> BeautifulSoup:
    """Return a report of hostile captures, with all that a notebook would show of them."""
    captures = load.load(hostile)
    judged = resleak.judge(captures)
    shown = [
        {"text/markdown": str(figures.answer(judged))},
        {"text/markdown": str(figures.about(judged))},
        {"text/markdown": str(figures.guilty(judged.variants["leaky"]))},
        {"text/html": figures.verdict_table(judged.frame).html},
        {"text/html": figures.outcome_table(judged).html},
        {"text/html": figures.sites_table(judged.variants["leaky"].sites).html},
        {"text/html": judged._repr_html_()},
        {"text/html": captures._repr_html_()},
        figures.flamegraph(resleak.profile(captures), title=HARM)._repr_mimebundle_(),
        {html_page._PLOTLY: json.loads(figures.timeline(resleak.traces(captures)).to_json())},
    ]
    outputs = [nbformat.v4.new_output("display_data", data) for data in shown]
    cells = [nbformat.v4.new_code_cell("show()", outputs=[one]) for one in outputs]
    redactor = Redactor.here()
    held = collect.gather({"captures": captures, "judged": judged})
    found = [summary.Finding.parse(redactor.tree(one)) for one in map(asdict, held.findings)]
    book = redactor.tree(nbformat.v4.new_notebook(cells=cells))
    page = html_page.Page(book, findings=found, archive=held.archive).html()
    return BeautifulSoup(page, "html.parser")


def test_names_that_mean_harm_are_text(told):
    """Nothing of a hostile name becomes an element, a handler or a script, wherever it is shown."""
    assert len(told.find_all("script", type=False)) == 2
    pictures = told.find_all("img")
    # For paper, and the curves beside cards.
    assert {tuple(picture.get("class", ())) for picture in pictures} == {("on-paper",), ()}
    for picture in pictures:  # within an image no script runs; there is none either
        kind, _, data = picture["src"].partition(";base64,")
        drawn = BeautifulSoup(base64.b64decode(data), "html.parser")
        assert (kind, drawn.find_all(["script", "image", "img", "a"])) == ("data:image/svg+xml", [])
    assert not [tag for tag in told.find_all(True) if any(a.startswith("on") for a in tag.attrs)]
    assert HARM in told.find(class_="brief").get_text()
    assert HARM in told.find(id="summary-text").get_text()


def test_a_log_beside_captures_costs_none_of_them(tmp_path, project):
    """A log, which has no folder, is judged and not packed; the captures beside it are."""
    log = tmp_path / "log.dat"
    log.write_text("".join(f"MEM {50 + second}.0 {1e9 + second}\n" for second in range(60)))
    captures = resleak.load(project / "data/captures/control/do_nothing")
    alone = collect.gather({"captures": captures})
    assert alone.archive
    assert collect.gather({"captures": captures, "log": resleak.load(log)}).facts == alone.facts


def test_text_that_would_turn_around_is_named(told):
    """A control that reorders what is read shows as its number, in text and in figures."""
    assert "\u202e" not in str(told)
    assert "safe⟨U+202E⟩txt.exe" in told.find(class_="brief").get_text()
