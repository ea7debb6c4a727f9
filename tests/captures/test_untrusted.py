"""Whatever a file holds, it loads or is refused in one line: quickly, and in little memory."""

from __future__ import annotations

import base64
import copy
import io
import json
import lzma
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import captures, traces
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resleak.captures import load, report_archive, storage, untrusted
from resleak.captures.frames import Capture, gauges_of
from resleak.errors import StoreError

FUZZ = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
#: Numbers, texts and nestings that a careless reader trips over.
ODD = st.sampled_from(
    [
        *(None, True, -1, 0, 1.5, 2**70, 10**400, 1e308, "", "x" * 5000, "\x1b[2J", "\u202e", "\0"),
        *("..", "/etc/passwd", [], {}, [[]], [None], {"": None}, {"a": {"b": [1]}}),
        *(["gauges"] * 3, [{"name": "x"}], {"leaky": 5}, {"leaky": {"params": []}}),
    ]
)


def refused_in_one_line(action: Callable[[], Any]) -> bool:
    """Return True if it was refused; anything but a StoreError of one line fails the test."""
    message = ""
    try:
        action()
    except StoreError as error:
        message = str(error)
    assert "\n" not in message
    assert len(message) < 2000
    return bool(message)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of one capture."""
    root = tmp_path_factory.mktemp("stored")
    trace = traces.trace(traces.ramp(1.0), gauge="fds", runs=1, steps=24)
    captures.write(root, captures.scenario(), "leaky", trace)
    return root / "made/up/leaky/gauges-01"


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
        refused_in_one_line(lambda: use(stored))
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe{}",
        b"[" * 100_000,
        b'{"a":' * 3000 + b"1" + b"}" * 3000,
        b'{"schema": ' + b"1" * 5000 + b"}",
        b'{"schema": 1, "run": NaN}',
        b'{"schema": 1, "run": 1e999}',
        b'{"schema": 1, "variant": "\\ud800"}',
        b"null",
        b"[]" * 10,
        b" " * (5 << 20),
    ],
)
def test_text_that_is_no_manifest_is_refused(stored: Path, content: bytes) -> None:
    """Cut, deep, large and badly encoded JSON is refused in one line."""
    path = stored / storage.MANIFEST
    whole = path.read_bytes()
    try:
        path.write_bytes(content)
        assert refused_in_one_line(lambda: Capture(stored))
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
    place.mkdir(exist_ok=True)
    (place / storage.MANIFEST).write_bytes((stored / storage.MANIFEST).read_bytes())
    pq.write_table(made, place / f"{table}.parquet")
    refused_in_one_line(lambda: Capture(place).table(table))
    for name in (storage.MANIFEST, f"{table}.parquet"):
        (place / name).unlink()
    place.rmdir()


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

    refused_in_one_line(read)


def test_a_command_of_several_lines_is_no_reading(tmp_path: Path) -> None:
    """Lines of a multi-line command are not read as readings, even if they look like some."""
    log = "CMDLINE python -c '\n\nMEM = 3\nMEM one two\nwhile 1: pass\n'\n"
    log += "MEM 10.0 1.0\nMEM 11.0 2.0\n"
    (tmp_path / "log.dat").write_text(log)
    (capture,) = load.load(tmp_path / "log.dat")
    assert capture.trace["rss"].tolist() == [10 * 1024**2, 11 * 1024**2]


def archived(name: str, content: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return a report with one file in its archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:") as tar:
        member = tarfile.TarInfo(name)
        member.size, member.type = len(content), kind
        tar.addfile(member, io.BytesIO(content))
    return page(lzma.compress(buffer.getvalue(), preset=1))


def page(packed: bytes) -> bytes:
    return report_archive.script(base64.b64encode(packed).decode()).encode()


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
    assert refused_in_one_line(lambda: load.load(path))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A pipe, a folder, a device and a name that cannot be are refused in one line."""
    import os

    os.mkfifo(tmp_path / "fifo")
    places = (tmp_path / "fifo", tmp_path, Path("/dev/zero"), tmp_path / "none", Path("a\0b"))
    for path in (*places, tmp_path / ("x" * 5000)):
        assert refused_in_one_line(lambda path=path: untrusted.content(path, 10))  # type: ignore[misc]
        assert refused_in_one_line(lambda path=path: load.load(path))  # type: ignore[misc]


def constant_table(rows: int) -> bytes:
    """Return a small file of a table with many rows, all alike."""
    buffer = io.BytesIO()
    pq.write_table(pa.table({"x": pa.repeat(7, rows)}), buffer)
    return buffer.getvalue()


def long_texts(rows: int, length: int) -> bytes:
    buffer = io.BytesIO()
    text = pa.DictionaryArray.from_arrays(pa.repeat(0, rows).cast(pa.int32()), ["y" * length])
    pq.write_table(pa.table({"x": text.cast(pa.string()) if rows < 1000 else text}), buffer)
    return buffer.getvalue()


def wide_table(columns: int) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({f"c{n}": pa.array([n]) for n in range(columns)}), buffer)
    return buffer.getvalue()


def sparse_tar() -> bytes:
    """Return a report whose archive has a file of 8 GiB that takes up no room."""
    member = tarfile.TarInfo("a/b/c/manifest.json")
    member.type, member.size = tarfile.GNUTYPE_SPARSE, 0
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[483:495] = b"077777777777"
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return page(lzma.compress(bytes(header) + bytes(1024)))


BOMBS: dict[str, Callable[[], bytes]] = {
    "trace.parquet": lambda: constant_table(17_000_000),
    "rows/trace.parquet": lambda: constant_table(15_000_000),
    "texts/trace.parquet": lambda: long_texts(500_000, 50_000),
    "wide/trace.parquet": lambda: wide_table(5_000),
    "deep.html": lambda: archived("a/b/c/manifest.json", b'{"a":' * 500_000),
    "large.html": lambda: page(lzma.compress(bytes(80 << 20), preset=0)),
    "streams.html": lambda: page(lzma.compress(b"") * 50_000),
    "table.html": lambda: archived("a/b/c/trace.parquet", constant_table(17_000_000)),
    "sparse.html": sparse_tar,
    "wide.html": lambda: "\U0001f600".encode() * (15 << 20),
    "children.dat": lambda: b"MEM 1 1\n" + b"".join(b"CHLD %d 1 1\n" % n for n in range(300_000)),
    "lines.dat": lambda: b"MEM 1 1\n" * (1 << 20),
    "long.dat": lambda: b"CMDLINE " + b"x" * (30 << 20),
    "list/manifest.json": lambda: b"[" + b"[]," * (1_300_000) + b"[]]",
    "zeros/manifest.json": lambda: b"0" * (4 << 20),
}
#: Loads each file with 512 MiB and 10 s more than the packages need, and says how that ended.
READER = """
import resource, sys, time, warnings
from pathlib import Path
from resleak.captures import load
from resleak.captures.frames import Capture
from resleak.errors import StoreError
warnings.simplefilter("ignore")
load.load(sys.argv[1])[0].trace  # what is loaded for this does not count
for path in map(Path, sys.argv[2:]):
    virtual = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (virtual + (512 << 20), -1))
    begin = time.process_time()
    try:
        if path.suffix == ".parquet":
            Capture(path.parent).table(path.stem)
        else:
            load.load(path.parent if path.suffix == ".json" else path)
        end = "loaded"
    except StoreError as error:
        end = "refused"
    except BaseException as error:
        end = f"{type(error).__name__}: {error}"
    spent = time.process_time() - begin
    print(path.name, end if spent < 10 else f"{end} after {spent:.0f} s", flush=True)
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory need Linux")
def test_no_file_takes_much_memory_or_time(stored: Path, tmp_path: Path) -> None:
    """Each bomb is loaded or refused within 512 MiB and 10 s of processor time."""
    for name, make in BOMBS.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(make())
        if path.suffix == ".parquet":
            (path.parent / storage.MANIFEST).write_bytes((stored / storage.MANIFEST).read_bytes())
    script = Path(tempfile.mkdtemp(dir=tmp_path)) / "reader.py"
    script.write_text(READER)
    command = [sys.executable, str(script), str(stored), *(str(tmp_path / name) for name in BOMBS)]
    env = {"PYTHONPATH": str(Path(storage.__file__).parents[2])}
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    ends = [line.split(maxsplit=1)[1] for line in done.stdout.splitlines()]
    assert len(ends) == len(BOMBS), done.stderr
    assert set(ends) <= {"loaded", "refused"}, done.stdout
