"""Turn a memray capture into the tables of a capture folder; the only reader of such files."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resleak import store
from resleak.errors import StoreError
from resleak.stacks import source
from resleak.stacks.ledger import Changes, Replay
from resleak.stacks.trie import Trie, names

_UNITS = {"mark": "", "step": "steps", "bytes": "B", "count": "blocks"}
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
    header = source.header(capture)
    if header.aggregated:
        told = "lacks the single allocations (it was written as AGGREGATED_ALLOCATIONS)"
        raise StoreError(f"{capture.name} {told}; capture it again")
    trie = Trie(names(studied, root))
    replay = Replay(trie, mmap.PAGESIZE)
    with source.reading(capture) as reader:
        found = list(_changes(replay, reader, expected))
        rss = max((snapshot.rss for snapshot in reader.get_memory_snapshots()), default=0)
    truncated = replay.records != header.records
    if truncated and not found:
        raise StoreError(f"{capture.name} is cut off before its first mark; capture it again")
    _write(folder, trie, [(expected[mark], changes) for mark, changes in found])
    mapped = replay.maps.peak
    return asdict(
        Integrity(
            records=replay.records,
            declared_records=header.records,
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
