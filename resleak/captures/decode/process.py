"""What one process of someone else's program had allocated, by stack and over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from resleak.captures.decode import memray_file, parallel_read
from resleak.captures.decode.moves import moves, rows
from resleak.captures.decode.snapshots import Followed, Owners

#: Of more snapshots than about twice this some are left out of their table.
SNAPSHOTS = 500


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
        tracked yet, the last its end; those between are snapshots.
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


def gathered(
    name: str, header: memray_file.Header, told: parallel_read.Overview, found: Followed
) -> Process:
    """Return what a process had allocated, given what was read of its capture.

    Parameters
    ----------
    name : str
        The file's name.
    header : Header
        Of this file.
    told : Overview
        What is known of it.
    found : Followed
        When its blocks were live.
    """
    snapshots = _numbers(told.snapshots)
    marks, lived = snapshots[:: told.stride], rows(found.spans)
    t_ms = _moments(header, told.records, marks[:, 0])
    moved = moves(lived, len(t_ms) - 1)
    who, where = (np.array(of, dtype=np.int64) for of in (found.spans.owners, found.numbers))
    of = moved[:, 1]
    changes = summed(np.column_stack([moved[:, 0], where[of], who[of], moved[:, 2:]]))
    facts = Facts(
        name=name,
        pid=header.pid,
        aggregated=header.aggregated,
        native=header.native,
        python_objects=told.python_objects,
        records=told.records,
        declared_records=header.records,
        snapshots=len(snapshots),
        duration_s=(header.end_ms - header.start_ms) / 1e3,
        last_snapshot_s=float(snapshots[-1:, 0].sum() - header.start_ms) / 1e3,
        without_stack=_without(lived, found),
        mapped_peak_bytes=_peak(changes[_mapped(changes, found.known.owners)], len(t_ms)),
        rss_peak_bytes=int(snapshots[:, 2].max(initial=0)),
        heap_peak_bytes=told.peak,
        heap_off_bytes=_off(changes, marks, header),
        looked_up=found.looked_up,
        with_source=found.with_source,
    )
    shown = snapshots[:: max(len(snapshots) // SNAPSHOTS, 1)]
    tables = {name: _numbers(table) for name, table in found.tables.items()}
    return Process(shown, t_ms, changes, tables, facts)


def _numbers(table: Sequence[Sequence[int]]) -> np.ndarray:
    return np.array(table, dtype=np.int64).reshape(-1, 3)


def summed(rows: np.ndarray) -> np.ndarray:
    """Sum up rows of changes with the same mark, node and owner; drop what comes to nothing."""
    if not len(rows):
        return rows
    sizes = rows[:, :3].max(axis=0) + 1
    cells = (rows[:, 0] * sizes[1] + rows[:, 1]) * sizes[2] + rows[:, 2]
    order = np.argsort(cells, kind="stable")
    rows, cells = rows[order], cells[order]
    first = np.flatnonzero(np.r_[True, cells[1:] != cells[:-1]])
    both = np.column_stack([rows[first, :3], np.add.reduceat(rows[:, 3:], first, axis=0)])
    return both[both[:, 3:].any(axis=1)]


def levels(changes: np.ndarray, marks: int) -> np.ndarray:
    """Return the bytes that were live at each mark."""
    change = np.zeros(marks, dtype=np.int64)
    np.add.at(change, changes[:, 0], changes[:, 3])
    return np.cumsum(change)


def _moments(header: memray_file.Header, records: int, at: np.ndarray) -> np.ndarray:
    """Return when the marks were: the start, each snapshot, the end or where it breaks off."""
    if header.aggregated:
        return np.array([header.start_ms, max(header.end_ms, header.start_ms + 1)], dtype=np.int64)
    last = int(at.max(initial=header.start_ms))
    whole = records == header.records and header.end_ms > last
    end = header.end_ms if whole else last + parallel_read.USUAL_MS
    return np.maximum.accumulate(np.array([header.start_ms, *at, end], dtype=np.int64))


def _without(lived: np.ndarray, found: Followed) -> float:
    blocks = np.bincount(lived[:, 0], lived[:, 4], minlength=len(found.spans.stacks))
    stacks = np.array(found.spans.stacks, dtype=np.int64)
    lacking = np.isin(stacks, np.fromiter(found.without, dtype=np.int64))
    return float(blocks[lacking].sum() / max(blocks.sum(), 1.0))


def _mapped(changes: np.ndarray, owners: Owners) -> np.ndarray:
    mapped: np.ndarray = owners.columns(changes[:, 2])["allocator"] == "mmap"
    return mapped


def _peak(changes: np.ndarray, marks: int) -> int:
    return int(levels(changes, marks).max(initial=0))


def _off(changes: np.ndarray, snapshots: np.ndarray, header: memray_file.Header) -> int:
    if header.aggregated:
        return 0
    inner = levels(changes, len(snapshots) + 2)[1:-1]
    return int(np.abs(inner - snapshots[:, 1]).max(initial=0))
