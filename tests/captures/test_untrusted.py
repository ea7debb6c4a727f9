"""Whatever a file holds, it loads or is refused in one line: quickly, and in little memory."""

from __future__ import annotations

import io
import json
import lzma
import math
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import captures, traces
from helpers.stored import CAPTURES
from helpers.untrusted import archived, is_one_line, message_of, page

from resleak.analysis import handle_origins, stacks
from resleak.captures import load, storage, untrusted
from resleak.captures.frames import Capture
from resleak.errors import StoreError


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of one capture."""
    root = tmp_path_factory.mktemp("stored")
    trace = traces.trace(traces.ramp(1.0), gauge="fds", runs=1, steps=24)
    captures.write(root, captures.scenario(), "leaky", trace)
    return root / "made/up/leaky/gauges-01"


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
        message = message_of(lambda: Capture(stored))
        assert message
        assert is_one_line(message)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"started": "yesterday"}, "Invalid isoformat string"),
        ({"started": "0001-01-01"}, "out of range"),
        ({"variant": "none"}, "its scenario declares no variant 'none'"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    stored: Path, tmp_path: Path, change: dict[str, str], words: str
) -> None:
    """A time that is none, or a variant that is not declared, is damage."""
    manifest = json.loads((stored / storage.MANIFEST).read_bytes()) | change
    (tmp_path / storage.MANIFEST).write_text(json.dumps(manifest))
    message = message_of(lambda: Capture(tmp_path))
    assert words in message
    assert is_one_line(message)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the stored runs of one variant, one for each instrument."""
    root = tmp_path_factory.mktemp("shipped")
    for folder in storage.folders(CAPTURES / "arc" / "sqlite_connections"):
        if folder.parent.name == "leaky" and folder.name.endswith("-01"):
            storage.table_files(folder)
            shutil.copytree(folder, root / "leaky" / folder.name)
    return root / "leaky"


def changed_columns(table: pa.Table) -> Iterator[pa.Table]:
    """Yield a table without each of its columns, and with other values in it."""
    odd = (None, "x", True, 1.5, math.nan, math.inf, 1e300, -7, 2**40)
    for place, name in enumerate(table.column_names):
        yield table.remove_column(place)
        for value in odd[place % 3 :: 3]:
            yield table.set_column(place, name, pa.array([value] * len(table)))


def use_all(folder: Path) -> None:
    """Rank the lines and the resources of a variant."""
    loaded = load.load(folder)
    for one in (loaded, handle_origins.as_allocations(loaded)):
        assert stacks.profile(one).frames is not None
        assert stacks.sites(one) is not None
    for waiting in (handle_origins.table(loaded), handle_origins.waiting(loaded)):
        assert waiting is not None


@pytest.mark.parametrize("instrument", ["memray", "handles"])
def test_any_column_of_a_stored_table_is_used_or_refused(shipped: Path, instrument: str) -> None:
    """Each column of each table, with other values or without it, is no error but one line."""
    outcomes = set()
    folder = shipped / f"{instrument}-01"
    for name in ("stacks", "marks", "live", "handles"):
        path = folder / f"{name}.parquet"
        if not path.exists():
            continue
        whole = path.read_bytes()
        for other in changed_columns(pq.read_table(path)):
            pq.write_table(other, path)
            message = message_of(lambda: use_all(folder))
            assert is_one_line(message)
            outcomes.add(bool(message))
        path.write_bytes(whole)
    assert outcomes == {True, False}


def test_a_command_of_several_lines_is_no_reading(tmp_path: Path) -> None:
    """Lines of a multi-line command are not read as readings, even if they look like some."""
    log = "CMDLINE python -c '\n\nMEM = 3\nMEM one two\nwhile 1: pass\n'\n"
    log += "MEM 10.0 1.0\nMEM 11.0 2.0\n"
    (tmp_path / "log.dat").write_text(log)
    (capture,) = load.load(tmp_path / "log.dat")
    assert capture.trace["rss"].tolist() == [10 * 1024**2, 11 * 1024**2]


def test_what_a_process_wrote_is_a_file_of_bounded_size(tmp_path: Path) -> None:
    """A pipe, a device and too much are damage; what is missing was not written."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "long").write_bytes(b"12345")
    for name in ("fifo", "zero", "long"):
        with pytest.raises(StoreError, match=rf"^{name} is damaged: "):
            untrusted.written(tmp_path / name, 4)
    assert untrusted.written(tmp_path / "long", 5) == b"12345"
    assert untrusted.written(tmp_path / "none") is None


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A pipe, a folder, a device and a name that cannot be are refused in one line."""
    os.mkfifo(tmp_path / "fifo")
    places = (tmp_path / "fifo", tmp_path, Path("/dev/zero"), tmp_path / "none", Path("a\0b"))
    for path in (*places, tmp_path / ("x" * 5000)):
        message = message_of(lambda path=path: untrusted.content(path, 10))  # type: ignore[misc]
        assert message
        assert is_one_line(message)
        message = message_of(lambda path=path: load.load(path))  # type: ignore[misc]
        assert message
        assert is_one_line(message)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory need Linux")
def test_a_small_file_takes_little_memory(tmp_path: Path) -> None:
    """However large a file may be, memory is taken for what it has."""
    (tmp_path / "small").write_bytes(b"{}")
    script = (
        "import resource; from pathlib import Path; from resleak.captures import untrusted\n"
        "pages = int(Path('/proc/self/statm').read_text().split()[0])\n"
        "limit = pages * resource.getpagesize() + (8 << 20)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, -1))\n"
        "print(untrusted.content(Path('small'), 64 << 20))\n"
    )
    env = {"PYTHONPATH": str(Path(storage.__file__).parents[2])}
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.stdout == "b'{}'\n", done.stderr


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


def forged_page() -> bytes:
    """Return a table of 100 kB whose page decodes to 2 GiB, which the footer does not say."""
    buffer, size = io.BytesIO(), (1 << 31) - (1 << 17)
    noise = random.Random(1).randbytes(100_000)
    table = pa.table({"x": pa.Array.from_buffers(pa.int64(), 12_500, [None, pa.py_buffer(noise)])})
    pq.write_table(table, buffer, compression="zstd", use_dictionary=False, write_statistics=False)
    content = bytearray(buffer.getvalue())
    chunk = pq.ParquetFile(buffer).metadata.row_group(0).column(0)
    start, room = chunk.data_page_offset, chunk.total_compressed_size
    rest = content.index(b"\x2c", start)  # field 5 of the page's header: what it holds
    end = content.index(b"\x28\xb5\x2f\xfd", rest)  # the page itself, packed with zstd
    blocks = size >> 17
    zeros = [(1 << 20 | 2 | (n == blocks - 1)).to_bytes(3, "little") + b"\0" for n in range(blocks)]
    frame = b"\x28\xb5\x2f\xfd\x00\x58" + b"".join(zeros)
    length = room - 12 - (end - rest)  # the sizes in the new header take 11 bytes and its type 1
    head = b"\x15\0\x15" + _varint(2 * size) + b"\x15" + _varint(2 * length) + content[rest:end]
    length = room - len(head)
    head = b"\x15\0\x15" + _varint(2 * size) + b"\x15" + _varint(2 * length) + content[rest:end]
    unused = length - len(frame) - 8
    page = frame + b"\x50\x2a\x4d\x18" + unused.to_bytes(4, "little") + bytes(unused)
    content[start : start + room] = head + page
    return bytes(content)


def _varint(number: int) -> bytes:
    """Return a number of at most 35 bits as Thrift writes it."""
    parts = [number >> shift & 127 for shift in range(0, 35, 7)]
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return bytes([part | 128 for part in parts[:-1]] + parts[-1:])


def test_a_page_that_claims_more_than_the_footer_is_refused(stored: Path, tmp_path: Path) -> None:
    """The decoded size of all pages is added up before any is decoded."""
    (tmp_path / storage.MANIFEST).write_bytes((stored / storage.MANIFEST).read_bytes())
    (tmp_path / "trace.parquet").write_bytes(forged_page())
    with pytest.raises(StoreError, match="it is too large: more than 160 MiB"):
        Capture(tmp_path).table("trace")


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
    "page/trace.parquet": forged_page,
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
