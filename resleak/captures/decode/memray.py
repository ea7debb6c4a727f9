"""Turn a memray capture into the tables of a capture folder; the only reader of such files."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resleak.captures import tables
from resleak.captures.decode import memray_file, source_lines
from resleak.captures.decode.replay import ALLOCATORS, Changes, Replay
from resleak.captures.decode.trie import Trie, names
from resleak.errors import StoreError

_UNITS = {
    "mark": "",
    "step": "steps",
    "t_s": "s",
    "bytes": "B",
    "heap_bytes": "B",
    "rss_bytes": "B",
    "count": "blocks",
}
_NO_ROWS = np.empty((0, 3), dtype=np.int64)
#: More mapped memory than this, and than the process ever held, was reserved and not used.
_RESERVED_BYTES = 256 * 1024**2


@dataclass(frozen=True)
class Integrity:
    """How complete and how trustworthy one of our own memray recordings is.

    `without_stack` is the share of allocations without a Python stack: native threads, or a profile
    function of the studied code. `reserved` is True if far more was mapped than resident: an
    allocator that reserves address space. `truncated` is True if the file ends before the run did.
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


@dataclass(frozen=True)
class Tables:
    """What was read of a recording, before it is written.

    `peak` and `temporary` are node, bytes and blocks at the high-water mark, and of what was
    released before its thread allocated again.
    """

    replay: Replay
    threads: Mapping[int, str]
    peak: np.ndarray
    temporary: np.ndarray


def extract(
    capture: Path,
    folder: Path,
    marks: Iterable[dict[str, Any]],
    studied: Iterable[Path],
    root: Path | None = None,
    _work: Path | None = None,
    *,
    source: bool = True,
) -> dict[str, Any]:
    """Write the tables of a recording of ours, and return the fields of `Integrity`.

    ``stacks`` are the nodes of the call stacks; ``live`` what changed at each mark since the one
    before, by stack, thread and allocator; ``peak`` what was live at the high-water mark;
    ``temporary`` what was released before its thread allocated again. A damaged file can crash the
    interpreter: call this in a disposable process.
    """
    expected = {int(mark["mark"]): mark for mark in marks}
    header = memray_file.header(capture)
    if header.aggregated:
        told = "lacks the single allocations (it was written as AGGREGATED_ALLOCATIONS)"
        raise StoreError(f"{capture.name} {told}; capture it again")
    trie = Trie(names(studied, root))
    replay = Replay(trie, mmap.PAGESIZE)
    with memray_file.reading(capture) as reader:
        found = list(_changes(replay, reader, expected))
        rss = max((snapshot.rss for snapshot in reader.get_memory_snapshots()), default=0)
        peak = _by_node(replay, reader.get_high_watermark_allocation_records())
        temporary = _by_node(replay, reader.get_temporary_allocation_records())
        main = reader.metadata.main_thread_id
    if replay.records != header.records and not found:
        raise StoreError(f"{capture.name} is cut off before its first mark; capture it again")
    tables = Tables(replay, threads(replay.threads, main), peak, temporary)
    _write(folder, trie, tables, [(expected[mark], changes) for mark, changes in found], source)
    return asdict(_integrity(replay, header.records, (len(found), len(expected)), rss))


def _integrity(replay: Replay, declared: int, marks: tuple[int, int], rss: int) -> Integrity:
    mapped = replay.maps.peak
    return Integrity(
        records=replay.records,
        declared_records=declared,
        allocations=replay.allocations,
        without_stack=replay.without_stack / max(replay.allocations, 1),
        marks=marks[0],
        expected_marks=marks[1],
        mapped_peak_bytes=mapped,
        rss_peak_bytes=rss,
        reserved=mapped > max(2 * rss, _RESERVED_BYTES),
        truncated=replay.records != declared,
    )


def _changes(
    replay: Replay, reader: Any, expected: dict[int, dict[str, Any]]
) -> Iterator[tuple[int, Changes]]:
    last = -1
    for mark, take in replay.marks(reader.get_allocation_records()):
        if mark in expected and mark > last:
            yield mark, take()
            last = mark


def _by_node(replay: Replay, records: Iterable[Any]) -> np.ndarray:
    """Return node, bytes and blocks of records that memray has summed up."""
    rows = [(replay.node(record), record.size, record.n_allocations) for record in records]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def threads(named: Mapping[int, str], main: int) -> dict[int, str]:
    """Return a name for each thread: memray's, or one from the order of appearance."""
    unnamed = {tid: f"thread {number}" for number, tid in enumerate(named)}
    return {tid: name or ("main" if tid == main else unnamed[tid]) for tid, name in named.items()}


def _write(
    folder: Path,
    trie: Trie,
    read: Tables,
    found: list[tuple[dict[str, Any], Changes]],
    source: bool,
) -> None:
    changes = [np.array(rows, dtype=np.int64).reshape(-1, 3) for _, rows in found]
    rows = np.concatenate([_NO_ROWS, *changes])
    of = np.repeat(np.arange(len(found)), [len(part) for part in changes])
    owners = np.array(read.replay.owners, dtype=np.int64).reshape(-1, 3)[rows[:, 0]]
    parts = [owners[:, 0], read.peak[:, 0], read.temporary[:, 0]]
    stacks, nodes = trie.used(np.concatenate(parts))
    of_live, of_peak, of_temporary = np.split(nodes, np.cumsum([len(part) for part in parts])[:-1])
    marks = _marks([mark for mark, _ in found], [int(part[:, 1].sum()) for part in changes])
    live = {name: marks[name][of] for name in ("mark", "step", "phase")}
    live |= {"node": of_live, "thread": _named(owners[:, 1], read.threads)}
    live |= {"allocator": _named(owners[:, 2], ALLOCATORS)}
    written = {
        "stacks": stacks,
        "marks": marks,
        "live": live | _amounts(rows),
        "peak": {"node": of_peak, **_amounts(read.peak)},
        "temporary": {"node": of_temporary, **_amounts(read.temporary)},
    }
    if source:
        written["sources"] = source_lines.table(stacks, trie.paths)
    for name, columns in written.items():
        tables.write_table(folder / f"{name}.parquet", columns, _UNITS)


def _amounts(rows: np.ndarray) -> dict[str, np.ndarray]:
    return {"bytes": rows[:, 1], "count": rows[:, 2]}


def _named(values: np.ndarray, names: Mapping[int, str]) -> np.ndarray:
    # A damaged capture may hold numbers that mean nothing.
    return np.array(
        [names.get(value, f"unknown {value}") for value in values.tolist()], dtype=object
    )


def _marks(marks: list[dict[str, Any]], changed: list[int]) -> dict[str, np.ndarray]:
    """Return the table of marks; what a run did not note is unknown, not zero."""
    return {
        "mark": np.array([mark["mark"] for mark in marks], dtype=np.int32),
        "step": np.array([mark["step"] for mark in marks], dtype=np.int32),
        "phase": np.array([mark["phase"] for mark in marks], dtype=object),
        "t_s": np.array([mark.get("t_s") for mark in marks], dtype=float),
        "heap_bytes": np.cumsum(np.array(changed, dtype=np.int64)),
        "rss_bytes": np.array([mark.get("rss_bytes") for mark in marks], dtype=float),
    }
