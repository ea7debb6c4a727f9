"""Fuzz: no file of unknown origin causes a traceback, takes 512 MiB or 10 s, or hangs.

``make fuzz`` tries 10,000 inputs, other ones each time; the tests try a few hundred, always the
same ones.
"""

from __future__ import annotations

import copy
import json
import lzma
import os
import random
import resource
import shutil
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import captures, damage, foreign, traces
from helpers.untrusted import SECONDS, archived, is_one_line, message_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resleak.analysis import budgets, verdicts
from resleak.analysis.memray_file import open_memray
from resleak.captures import archive, export, load, pack, storage
from resleak.captures.frames import Capture, gauges_of
from resleak.errors import ResleakError
from resleak.report import share

#: Inputs in all; one in forty is a memray file, which takes a process of its own.
TOTAL = int(os.environ.get("RESLEAK_FUZZ", "400"))
MEMRAY = TOTAL // 40
FUZZ = settings(
    max_examples=(TOTAL - MEMRAY) // 8,
    deadline=None,
    derandomize="RESLEAK_FUZZ" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)
SEED = 0 if "RESLEAK_FUZZ" not in os.environ else random.randrange(1 << 30)
#: Numbers, texts and nestings that a careless reader trips over.
ODD = st.sampled_from(
    [
        *(None, True, -1, 0, 1.5, 2**70, 10**400, 1e308, "", "x" * 5000, "\x1b[2J", "\u202e", "\0"),
        *("..", "/etc/passwd", [], {}, [[]], [None], {"": None}, {"a": {"b": [1]}}),
        *(["gauges"] * 3, [{"name": "x"}], {"leaky": 5}, {"leaky": {"params": []}}),
    ]
)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of one capture, loaded once so that all packages are there."""
    root = tmp_path_factory.mktemp("stored")
    trace = traces.trace(traces.ramp(1.0), gauge="fds", runs=1, steps=24)
    captures.write(root, captures.scenario(), "leaky", trace)
    folder = root / "made/up/leaky/gauges-01"
    use(folder)
    return folder


def flipped(whole: bytes, places: list[int], values: list[int]) -> bytes:
    """Return bytes with some replaced; places beyond the end start again at the front."""
    content = bytearray(whole)
    for place, value in zip(places, values, strict=True):
        content[place % len(content)] = value
    return bytes(content)


FLIPS = st.integers(1, 6).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 1 << 16), min_size=n, max_size=n),
        st.lists(st.integers(0, 255), min_size=n, max_size=n),
    )
)


def paths(value: Any) -> list[tuple[Any, ...]]:
    """Return the places in a JSON value, as keys and indices from its root."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found: list[tuple[Any, ...]] = [()]
    for key, item in items:
        inner = paths(item) if isinstance(item, (dict, list)) else [()]
        found += [(key, *rest) for rest in inner]
    return found


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    result = copy.deepcopy(value)
    at = result
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return result


def use(folder: Path) -> None:
    """Use everything that a manifest says."""
    loaded = load.load(folder)
    assert repr(loaded)
    assert loaded._repr_html_()
    assert repr(loaded[0])
    assert len(loaded.frame) == 1
    gauges_of(loaded)
    list(loaded.variants)
    assert verdicts.judge(loaded).variants
    export.write(loaded, "prometheus", folder.parent / "gauges.prom")
    json.dumps(loaded[0].manifest.to_json())


@FUZZ
@given(data=st.data())
def test_any_manifest_loads_or_is_refused(stored: Path, data: st.DataObject) -> None:
    """A manifest with odd values anywhere is used as it is, or refused in one line."""
    path = stored / storage.MANIFEST
    whole = path.read_bytes()
    manifest = json.loads(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        manifest = changed(manifest, data.draw(st.sampled_from(paths(manifest))), data.draw(ODD))
        if not isinstance(manifest, dict):
            break
    try:
        path.write_text(json.dumps(manifest))
        assert is_one_line(message_of(lambda: use(stored)))
    finally:
        path.write_bytes(whole)


COLUMNS: list[Any] = [
    pa.array([1, 2]),
    pa.array([1.5, None]),
    pa.array(["a", None]),
    pa.array([True, False]),
    pa.array([None, None]),
    pa.array([[1], [2]]),
    pa.array([{"a": 1}, None]),
    pa.array([b"\xff", b""]),
    pa.array(["a", "b"]).dictionary_encode(),
    pa.array([float("nan"), float("inf")]),
    pa.array([0, 10**15]).cast(pa.timestamp("us")),
    pa.array([-1, 2**40]),
]
NAMES = [
    *[
        "t_s",
        "step",
        "block",
        "phase",
        "moment",
        "node",
        "parent",
        "function",
        "file",
        "line",
        "studied",
        "fds",
    ],
    "",
]


@FUZZ
@given(
    names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=8),
    columns=st.lists(st.sampled_from(COLUMNS), min_size=8, max_size=8),
    table=st.sampled_from(["trace", "stacks", "other"]),
    unit=st.sampled_from([b"s", b"\xff\xfe", b"x" * 100]),
)
def test_any_table_loads_or_is_refused(
    stored: Path, names: list[str], columns: list[Any], table: str, unit: bytes
) -> None:
    """A table of odd columns is read as it is, or refused in one line."""
    fields = [
        pa.field(name, column.type, metadata={b"unit": unit})
        for name, column in zip(names, columns, strict=False)
    ]
    made = pa.Table.from_arrays(columns[: len(names)], schema=pa.schema(fields))
    place = stored.parent / "gauges-77"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    manifest = json.loads((stored / storage.MANIFEST).read_bytes())
    manifest["instrument"] = "memray" if table == "stacks" else "gauges"
    (place / storage.MANIFEST).write_text(json.dumps(manifest))
    pq.write_table(made, place / f"{table}.parquet")
    assert is_one_line(message_of(lambda: Capture(place).table(table)))


LINES = st.lists(
    st.sampled_from(
        [
            *("CMDLINE python -c", "import time", "", "   ", "MEM 10.0 1.0", "MEM 11.0 2.0"),
            *("MEM 1", "MEM nan 3", "MEM 1e999 3", "MEM -1 3", "MEM " + "9" * 5000 + " 1"),
            *("CHLD 0 20.0 1.0", "CHLD " + "9" * 5000 + " 1 1", "CHLD ² 1 1", "FUNC f 1 2 3 4 0"),
            *("# Elapsed time   CPU (%)", "elapsed_time,cpu,mem_real,x", "0.5 3.0 50.0 70.0"),
            *("0.5,3.0,50.0,70.0", "\x00\x01", "\ufffd", "MEM"),
        ]
    ),
    max_size=8,
)


@FUZZ
@given(lines=LINES, tail=st.sampled_from([b"", b"\n", b"\xff\xfe", b"\r\n"]))
def test_any_log_loads_or_is_refused(tmp_path_factory: Any, lines: list[str], tail: bytes) -> None:
    """A log of odd lines has finite readings, or is refused in one line."""
    path = tmp_path_factory.getbasetemp() / "log.dat"
    path.write_bytes("\n".join(lines).encode() + tail)

    def read() -> None:
        for capture in load.load(path):
            assert capture.trace["rss"].between(0, 1e19).all()

    assert is_one_line(message_of(read))


@FUZZ
@given(
    name=st.sampled_from(
        ["a/b/c/manifest.json", "a/b/c/trace.parquet", "../x", "/a/b/c", "\u202e"]
    ),
    content=st.sampled_from([b"", b"{}", b"PAR1", b"\xff" * 100, b'{"schema": 1}']),
    kind=st.sampled_from([tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE]),
    cut=st.integers(0, 400),
    flip=st.integers(0, 255),
)
def test_any_report_loads_or_is_refused(
    tmp_path_factory: Any, name: str, content: bytes, kind: bytes, cut: int, flip: int
) -> None:
    """A report with an odd archive is refused in one line."""
    whole = bytearray(archived(name, content, kind))
    whole[cut % len(whole)] ^= flip
    path = tmp_path_factory.getbasetemp() / "report.html"
    path.write_bytes(bytes(whole))
    message = message_of(lambda: load.load(path))
    assert message
    assert is_one_line(message)


@FUZZ
@given(flips=FLIPS, cut=st.integers(0, 300))
def test_any_archive_loads_or_is_refused(
    stored: Path, tmp_path_factory: Any, flips: tuple[list[int], list[int]], cut: int
) -> None:
    """An archive with other bytes in its tars is read, or refused in one line."""
    path = tmp_path_factory.getbasetemp() / archive.NAME
    pack.write(path, [stored])
    tar = lzma.decompress(path.read_bytes())
    path.write_bytes(lzma.compress(flipped(tar, *flips)[: len(tar) - cut], preset=0))

    def read() -> None:
        for capture in load.load(path):
            assert len(capture.trace)

    assert is_one_line(message_of(read))


@FUZZ
@given(flips=FLIPS, cut=st.integers(0, 3))
def test_any_bytes_of_a_table_load_or_are_refused(
    stored: Path, flips: tuple[list[int], list[int]], cut: int
) -> None:
    """A table with other bytes in its pages and footer is read, or refused in one line."""
    path = stored / "trace.parquet"
    whole = path.read_bytes()
    content = flipped(whole, *flips)
    try:
        path.write_bytes(content[: len(content) - cut])
        assert is_one_line(message_of(lambda: Capture(stored).table("trace")))
    finally:
        path.write_bytes(whole)


KEYS = st.sampled_from(
    [
        *("steps_per_hour", "budget", "gauges", "per_hour", "per_step", "at_most", "off"),
        *("source", "systems", "lasting_s", "a", "x" * 200),
    ]
)
VALUES = st.recursive(
    st.one_of(
        st.sampled_from(["heap", "fds", "10 MB", "nan", "", "\u202e", "x" * 300]),
        st.integers(-(2**70), 2**70),
        st.floats(),
        st.booleans(),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def toml(value: Any) -> str:
    """Return a value in TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return repr(value) if isinstance(value, float) else json.dumps(value)


@FUZZ
@given(
    known=st.dictionaries(KEYS, VALUES, max_size=4),
    limits=st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=5), max_size=3),
    tail=st.sampled_from(["", "[", "\0", "\n[budget.a]\n", "x = 1\nx = 2"]),
)
def test_any_budgets_are_read_or_refused(
    tmp_path_factory: Any, known: dict[str, Any], limits: dict[str, Any], tail: str
) -> None:
    """A file of budgets with odd names and values is read, or refused in one line."""
    path = tmp_path_factory.getbasetemp() / "budgets.toml"
    pairs = {**known, "budget": limits}
    path.write_text("\n".join(f"{k} = {toml(v)}" for k, v in pairs.items()) + "\n" + tail)
    assert is_one_line(message_of(lambda: budgets.read(path)))


BOOK: dict[str, Any] = {
    "cells": [
        {"cell_type": "markdown", "id": "a", "metadata": {"tags": ["b"]}, "source": ["# A\n", "b"]},
        {
            **{"cell_type": "code", "id": "b", "metadata": {}, "execution_count": 1},
            **{"source": "1 + 1"},
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": ["one\n"]},
                {
                    **{"output_type": "execute_result", "execution_count": 1, "metadata": {}},
                    "data": {"text/html": "<b>2</b>", "text/plain": "2"},
                },
            ],
        },
    ],
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


@FUZZ
@given(data=st.data())
def test_any_notebook_is_rendered_or_refused(tmp_path_factory: Any, data: st.DataObject) -> None:
    """A notebook with odd values anywhere is rendered as it is, or refused in one line."""
    book = BOOK
    for _ in range(data.draw(st.integers(1, 3))):
        book = changed(book, data.draw(st.sampled_from(paths(book))), data.draw(ODD))
        if not isinstance(book, dict):
            break
    folder = tmp_path_factory.getbasetemp()
    (folder / "book.ipynb").write_text(json.dumps(book))
    assert is_one_line(
        message_of(lambda: share.share(folder / "book.ipynb", folder / "book.html", execute=False))
    )


def test_any_memray_file_is_read_or_refused(tmp_path: Path) -> None:
    """A memray file cut off or with flipped bytes is read, or refused in one line.

    It is decoded in a process of its own, which has its own limits.
    """
    options: dict[str, Any] = {"seconds": 0.15, "kind": "threads"}
    raw = foreign.record(tmp_path, "raw.bin", compress=False, **options)
    packed = foreign.record(tmp_path, "packed.bin", **options)
    opened = tmp_path / "opened"
    opened.mkdir()
    before = interpreters()
    for _, path in damage.damaged(opened, raw, packed, MEMRAY + 13, seed=SEED):
        message = outcome(path)
        assert is_one_line(message)
        assert str(tmp_path) not in message
    assert interpreters() <= before
    assert not list(opened.glob(".*partial"))


def interpreters() -> set[psutil.Process]:
    """Return the descendants that are Python; the browser of other tests starts some of its own."""
    found = set()
    for one in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found |= {one} if one.name().startswith("python") else set()
    return found


def outcome(path: Path) -> str:
    """Open a memray file and return what came of it."""
    begin = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    try:
        capture = open_memray(path)
    except ResleakError as error:
        return str(error)
    finally:
        assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - begin < SECONDS
    assert capture.summary
    return "; ".join(capture.warnings)
