"""What one process of someone else's program had allocated, by stack and over time."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resleak.stacks import source
from resleak.stacks.expand import HybridStacks, PythonStacks
from resleak.stacks.ledger import ALLOCATORS
from resleak.stacks.nodes import Nodes

#: memray thins its snapshots out to no more than this.
SNAPSHOTS = 500
_NEVER = -1
#: memray's usual time between two snapshots.
_USUAL_MS = 10


@dataclass(frozen=True)
class Facts:
    """What should be known about a capture before its tables are believed.

    Attributes
    ----------
    name : str
        The file's name.
    pid : int
        The process.
    aggregated, native, python_objects : bool
        Whether only sums were recorded; native stacks; each of Python's objects.
    records, declared_records : int
        Records read, and how many the file says it has; 0 if it was never closed.
    snapshots : int
        How many memray made, after thinning out.
    duration_s, last_snapshot_s : float
        From the start to the end that the file names, and to the last snapshot.
    without_stack : float
        Share of the blocks that have no Python stack.
    mapped_peak_bytes, rss_peak_bytes, heap_peak_bytes : int
        The most that was mapped, resident, and allocated.
    heap_off_bytes : int
        By how much the changes and memray's own count of the heap differ at most; 0 is right.
    looked_up, with_source : float or None
        Of the bytes, the share whose native frames were looked up; of these frames, the share
        that has a source file. None without native stacks.
    """

    name: str
    pid: int
    aggregated: bool
    native: bool
    python_objects: bool
    records: int
    declared_records: int
    snapshots: int
    duration_s: float
    last_snapshot_s: float
    without_stack: float
    mapped_peak_bytes: int
    rss_peak_bytes: int
    heap_peak_bytes: int
    heap_off_bytes: int
    looked_up: float | None
    with_source: float | None


@dataclass(frozen=True)
class Process:
    """What one process had allocated.

    Attributes
    ----------
    snapshots : array of int, shape (snapshots, 3)
        Milliseconds of the epoch, bytes allocated, bytes resident.
    t_ms : array of int, shape (marks,)
        Milliseconds of the epoch. The first mark is the start of tracking, when nothing was
        tracked yet, the last its end; those between are the snapshots.
    changes : array of int, shape (changes, 5)
        Mark, node, owner, bytes, blocks.
    tables : dict of str to array of int, shape (stacks, 3)
        ``peak`` and ``temporary``: node, bytes, blocks.
    facts : Facts
        What should be known.
    """

    snapshots: np.ndarray
    t_ms: np.ndarray
    changes: np.ndarray
    tables: dict[str, np.ndarray]
    facts: Facts


class Owners:
    """Numbers for who allocated: the name of a thread and that of an allocator."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}

    def number(self, thread: str, allocator: int) -> int:
        """Return the number of one, the same each time."""
        # A damaged capture may hold numbers that mean nothing.
        key = thread, ALLOCATORS.get(allocator, f"unknown {allocator}")
        return self._numbers.setdefault(key, len(self._numbers))

    def columns(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """Return the columns ``thread`` and ``allocator``."""
        both = np.array([*self._numbers, ("", "")], dtype=object)[numbers]
        return {"thread": both[:, 0], "allocator": both[:, 1]}


@dataclass(frozen=True)
class _Spans:
    """When the blocks of each record were live: one row for each time of coming and going.

    Attributes
    ----------
    rows : array of int, shape (spans, 5)
        Record, the snapshot before which it came, the one before which it went or -1, bytes,
        blocks.
    owners, stacks : array of int, shape (records,)
        Who allocated, and memray's number of the stack.
    """

    rows: np.ndarray
    owners: np.ndarray
    stacks: np.ndarray


def read(
    capture: Path, nodes: Nodes, owners: Owners, *, everything: bool, several: bool
) -> Process:
    """Read one capture.

    Parameters
    ----------
    capture : Path
        A file that memray wrote.
    nodes, owners : Nodes, Owners
        Where stacks, and who allocated, are entered.
    everything : bool
        Read the high-water mark and what was temporary, too: each another pass over the file.
    several : bool
        Put the process above its stacks.

    Raises
    ------
    StoreError
        If the file cannot be read.
    """
    header = source.header(capture)
    with source.reading(capture, max_memory_records=SNAPSHOTS) as reader:
        metadata = reader.metadata
        top = ((f"process {metadata.pid}", "", 0),) if several else ()
        expand = HybridStacks if header.native else PythonStacks
        stacks = expand(nodes, top, metadata.main_thread_id)
        snapshots = np.array(
            [(s.time, s.heap, s.rss) for s in reader.get_memory_snapshots()], dtype=np.int64
        ).reshape(-1, 3)
        t_ms = _moments(header, metadata.total_allocations, snapshots[:, 0])
        spans = _spans(reader, header, owners, stacks, metadata.main_thread_id)
        rows = _rows(spans.rows, len(t_ms) - 1)
        numbers = stacks.numbers(_most(rows, len(spans.owners)))
        tables = _tables(reader, header, stacks) if everything else {}
    of = rows[:, 1]
    changes = summed(np.column_stack([rows[:, 0], numbers[of], spans.owners[of], rows[:, 2:]]))
    facts = Facts(
        name=capture.name,
        pid=int(metadata.pid),
        aggregated=header.aggregated,
        native=header.native,
        python_objects=_has_objects(metadata),
        records=int(metadata.total_allocations),
        declared_records=header.records,
        snapshots=len(snapshots),
        duration_s=(header.end_ms - header.start_ms) / 1e3,
        last_snapshot_s=float(snapshots[-1:, 0].sum() - header.start_ms) / 1e3,
        without_stack=_without(spans, stacks.without),
        mapped_peak_bytes=_peak(changes[_mapped(changes, owners)], len(t_ms)),
        rss_peak_bytes=int(snapshots[:, 2].max(initial=0)),
        heap_peak_bytes=int(metadata.peak_memory),
        heap_off_bytes=_off(changes, snapshots, header),
        looked_up=stacks.looked_up,
        with_source=stacks.with_source,
    )
    return Process(snapshots, t_ms, changes, tables, facts)


def summed(rows: np.ndarray) -> np.ndarray:
    """Sum up rows of changes with the same mark, node and owner; drop what comes to nothing."""
    if not len(rows):
        return rows
    order = np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))
    rows = rows[order]
    first = np.flatnonzero(np.r_[True, (rows[1:, :3] != rows[:-1, :3]).any(axis=1)])
    sums = np.add.reduceat(rows[:, 3:], first, axis=0)
    both = np.column_stack([rows[first, :3], sums])
    return both[sums.any(axis=1)]


def levels(changes: np.ndarray, marks: int) -> np.ndarray:
    """Return the bytes that were live at each mark."""
    change = np.zeros(marks, dtype=np.int64)
    np.add.at(change, changes[:, 0], changes[:, 3])
    return np.cumsum(change)


def _moments(header: source.Header, records: int, at: np.ndarray) -> np.ndarray:
    """Return when the marks were: the start, each snapshot, the end or where it breaks off."""
    if header.aggregated:
        return np.array([header.start_ms, max(header.end_ms, header.start_ms + 1)], dtype=np.int64)
    last = int(at.max(initial=header.start_ms))
    whole = records == header.records and header.end_ms > last
    end = header.end_ms if whole else last + _USUAL_MS
    return np.maximum.accumulate(np.array([header.start_ms, *at, end], dtype=np.int64))


def _spans(
    reader: Any, header: source.Header, owners: Owners, stacks: PythonStacks, main: int
) -> _Spans:
    rows, of, ids = array("q"), array("q"), array("q")
    threads: dict[int, str] = {}
    records: Iterable[Any]
    if header.aggregated:
        records = reader.get_leaked_allocation_records(merge_threads=False)
    else:
        records = reader.get_temporal_allocation_records(merge_threads=False)
    for number, record in enumerate(records):
        tid = record.tid
        if tid not in threads:
            other = "main" if tid == main else f"thread {len(threads)}"
            threads[tid] = record.thread_name or other
        of.append(owners.number(threads[tid], record.allocator))
        ids.append(record.stack_id)
        if header.aggregated:
            rows.extend((number, 0, _NEVER, record.size, record.n_allocations))
        else:
            for span in record.intervals:
                gone = span.deallocated_before_snapshot
                rows.extend((number, span.allocated_before_snapshot,
                             _NEVER if gone is None else gone, span.n_bytes,
                             span.n_allocations))  # fmt: skip
            record.intervals = ()
        stacks.enter(record)
    whole = np.array(rows, dtype=np.int64).reshape(-1, 5)
    return _Spans(whole, np.array(of, dtype=np.int64), np.array(ids, dtype=np.int64))


def _rows(spans: np.ndarray, last: int) -> np.ndarray:
    """Return mark, record, bytes and blocks of each coming and going; mark 0 is the start."""
    came = np.column_stack([spans[:, 1] + 1, spans[:, 0], spans[:, 3:]])
    gone = spans[spans[:, 2] != _NEVER]
    went = np.column_stack([gone[:, 2] + 1, gone[:, 0], -gone[:, 3:]])
    rows = np.concatenate([came, went])
    rows[:, 0] = np.clip(rows[:, 0], 0, last)
    return rows


def _most(rows: np.ndarray, records: int) -> np.ndarray:
    """Return the most bytes that each record held at any mark."""
    most = np.zeros(records)
    ordered = rows[np.lexsort((rows[:, 0], rows[:, 1]))]
    if len(ordered):
        level = np.cumsum(ordered[:, 2])
        first = np.flatnonzero(np.r_[True, ordered[1:, 1] != ordered[:-1, 1]])
        before = np.r_[0, level[first[1:] - 1]]
        most[ordered[first, 1]] = np.maximum.reduceat(level, first) - before
    return most


def _tables(reader: Any, header: source.Header, stacks: PythonStacks) -> dict[str, np.ndarray]:
    found = {"peak": reader.get_high_watermark_allocation_records(merge_threads=True)}
    if not header.aggregated:
        found["temporary"] = reader.get_temporary_allocation_records(merge_threads=True)
    return {
        name: np.array(
            [(stacks.node(r), r.size, r.n_allocations) for r in records], dtype=np.int64
        ).reshape(-1, 3)
        for name, records in found.items()
    }


def _has_objects(metadata: Any) -> bool:
    return bool(metadata.trace_python_allocators or metadata.python_allocator == "malloc")


def _without(spans: _Spans, without: set[int]) -> float:
    blocks = np.bincount(spans.rows[:, 0], spans.rows[:, 4], minlength=len(spans.stacks))
    lacking = np.isin(spans.stacks, np.fromiter(without, dtype=np.int64))
    return float(blocks[lacking].sum() / max(blocks.sum(), 1.0))


def _mapped(changes: np.ndarray, owners: Owners) -> np.ndarray:
    mapped: np.ndarray = owners.columns(changes[:, 2])["allocator"] == "mmap"
    return mapped


def _peak(changes: np.ndarray, marks: int) -> int:
    return int(levels(changes, marks).max(initial=0))


def _off(changes: np.ndarray, snapshots: np.ndarray, header: source.Header) -> int:
    if header.aggregated:
        return 0
    inner = levels(changes, len(snapshots) + 2)[1:-1]
    return int(np.abs(inner - snapshots[:, 1]).max(initial=0))
