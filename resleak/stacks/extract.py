"""Turn a memray capture into the tables of a capture folder; the only reader of such files."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from resleak import store
from resleak.errors import MissingPackageError, StoreError
from resleak.stacks.ledger import Changes, Replay
from resleak.stacks.trie import Trie, names

_UNITS = {"mark": "", "step": "steps", "bytes": "B", "count": "blocks"}
_AGAIN = "capture the variant again"
#: memray's header up to the number of records: magic, versions, two flags, records.
_HEADER = struct.Struct("<7sii??Q")
_MAGIC, _HEADER_VERSION = b"memray\0", 13
_LZ4_MAGIC = b"\x04\x22\x4d\x18"
#: More mapped memory than this, and than the process ever held, was reserved and not used.
_RESERVED_BYTES = 256 * 1024**2


@dataclass(frozen=True)
class Integrity:
    """What should be known about a capture before its tables are believed.

    Attributes
    ----------
    records, declared_records : int
        Records read, and how many the file says it has; 0 if it was never closed.
    allocations : int
        Records that are no release.
    without_stack : float
        Share of allocations whose Python stack is unknown: native threads, or a profile function
        that the studied code set.
    marks, expected_marks : int
        Marks found in the stream, and marks the run left.
    mapped_peak_bytes, rss_peak_bytes : int
        The most that was mapped, and the most that was resident.
    reserved : bool
        Whether far more was mapped than resident: an allocator that reserves address space, whose
        maps say nothing about memory in use.
    truncated : bool
        Whether the file ends before the run did.
    """

    records: int
    declared_records: int
    allocations: int
    without_stack: float
    marks: int
    expected_marks: int
    mapped_peak_bytes: int
    rss_peak_bytes: int
    reserved: bool
    truncated: bool


def extract(
    capture: Path,
    folder: Path,
    marks: Iterable[dict[str, Any]],
    studied: Iterable[Path],
    root: Path | None = None,
) -> dict[str, Any]:
    """Write ``stacks.parquet``, ``live.parquet`` and ``marks.parquet`` of a memray capture.

    A damaged file can crash the interpreter: call this in a process that may be lost.

    Parameters
    ----------
    capture : Path
        A file that memray wrote in the format ``ALL_ALLOCATIONS``.
    folder : Path
        Where the tables go.
    marks : iterable of dict
        What the run noted of each mark: ``mark``, ``step``, ``phase``.
    studied : iterable of Path
        Files, or folders of files, under study.
    root : Path, optional
        A folder whose files are named relative to it.

    Returns
    -------
    dict
        The fields of `Integrity`.

    Raises
    ------
    StoreError
        If the file is empty, not of memray, of another version, or ends before its first mark.
    """
    expected = {int(mark["mark"]): mark for mark in marks}
    declared = _declared_records(capture)
    trie = Trie(names(studied, root))
    replay = Replay(trie, mmap.PAGESIZE)
    with _reading(capture) as reader:
        found = list(_changes(replay, reader, expected))
        rss = max((snapshot.rss for snapshot in reader.get_memory_snapshots()), default=0)
    truncated = replay.records != declared
    if truncated and not found:
        raise StoreError(f"{capture.name} is cut off before its first mark; {_AGAIN}")
    _write(folder, trie, [(expected[mark], changes) for mark, changes in found])
    mapped = replay.maps.peak
    return asdict(
        Integrity(
            records=replay.records,
            declared_records=declared,
            allocations=replay.allocations,
            without_stack=replay.without_stack / max(replay.allocations, 1),
            marks=len(found),
            expected_marks=len(expected),
            mapped_peak_bytes=mapped,
            rss_peak_bytes=rss,
            reserved=mapped > max(2 * rss, _RESERVED_BYTES),
            truncated=truncated,
        )
    )


def _changes(
    replay: Replay, reader: Any, expected: dict[int, dict[str, Any]]
) -> Iterator[tuple[int, Changes]]:
    last = -1
    for mark, take in replay.marks(reader.get_allocation_records()):
        if mark in expected and mark > last:
            yield mark, take()
            last = mark


@contextmanager
def _reading(capture: Path) -> Iterator[Any]:
    try:
        import memray
    except ImportError:
        raise MissingPackageError("reading stacks needs memray: pip install memray") from None
    try:
        with memray.FileReader(capture) as reader:
            yield reader
    except Exception as error:  # what is read is damaged, and anything can come of it
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "incompatible" in told:
            told = f"it is of another version of memray than {version('memray')}"
        raise StoreError(f"{capture.name} cannot be read: {told}; {_AGAIN}") from error


def _declared_records(capture: Path) -> int:
    """Return how many records a file says it has, which memray itself does not tell."""
    try:
        header = _start_of(capture)
    except FileNotFoundError:
        raise StoreError(f"{capture.name} is missing; {_AGAIN}") from None
    except OSError as error:
        raise StoreError(f"{capture.name} cannot be read: {error}; {_AGAIN}") from error
    if not header:
        raise StoreError(f"{capture.name} is empty: the run was killed early; {_AGAIN}")
    if not header.startswith(_MAGIC):
        raise StoreError(f"{capture.name} is not a capture of memray; {_AGAIN}")
    if len(header) < _HEADER.size:
        raise StoreError(f"{capture.name} is cut off in its header; {_AGAIN}")
    _, version, _, _, aggregated, records = _HEADER.unpack(header)
    if version != _HEADER_VERSION:
        told = f"is of another version of memray (format {version}, not {_HEADER_VERSION})"
        raise StoreError(f"{capture.name} {told}; read it with that version, or {_AGAIN}")
    if aggregated:
        told = "lacks the single allocations (it was written as AGGREGATED_ALLOCATIONS)"
        raise StoreError(f"{capture.name} {told}; {_AGAIN}")
    return int(records)


def _start_of(capture: Path) -> bytes:
    import pyarrow as pa

    with capture.open("rb") as file:
        start = file.read(_HEADER.size)
    if not start.startswith(_LZ4_MAGIC):
        return start
    with pa.input_stream(str(capture), compression="lz4") as stream:
        return bytes(stream.read(_HEADER.size))


def _write(folder: Path, trie: Trie, found: list[tuple[dict[str, Any], Changes]]) -> None:
    changes = [np.array(rows, dtype=np.int64).reshape(-1, 3) for _, rows in found]
    rows = np.concatenate([np.empty((0, 3), dtype=np.int64), *changes])
    of = np.repeat(np.arange(len(found)), [len(part) for part in changes])
    stacks, nodes = trie.columns(rows[:, 0])
    marks = {
        "mark": np.array([mark["mark"] for mark, _ in found], dtype=np.int32),
        "step": np.array([mark["step"] for mark, _ in found], dtype=np.int32),
        "phase": np.array([mark["phase"] for mark, _ in found], dtype=object),
    }
    live = {name: values[of] for name, values in marks.items()}
    live |= {"node": nodes, "bytes": rows[:, 1], "count": rows[:, 2]}
    store.write_table(folder / "stacks.parquet", stacks, {})
    store.write_table(folder / "live.parquet", live, _UNITS)
    store.write_table(folder / "marks.parquet", marks, _UNITS)
