"""What one process of someone else's program had allocated, by stack and over time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resleak.stacks import passes, source
from resleak.stacks.spans import Followed, Known, Owners, Spans, follow, moves

#: Of more snapshots than about twice this some are no marks: a drawing has as many windows.
MARKS = 16
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


def read(
    capture: Path,
    known: Known,
    *,
    everything: bool,
    several: bool,
    meanwhile: Callable[[], object] = lambda: None,
) -> tuple[Process, Known]:
    """Read one capture.

    Parameters
    ----------
    capture : Path
        A file that memray wrote.
    known : Known
        The stacks, and who allocated, of captures read before; it is used up.
    everything : bool
        Read the high-water mark and what was temporary, too: each another pass over the file.
    several : bool
        Put the process above its stacks.
    meanwhile : callable
        Called if another process is waited for.

    Returns
    -------
    Process, Known
        What it had allocated, and what is known now.

    Raises
    ------
    StoreError
        If the file cannot be read.
    """
    header = source.header(capture)

    def followed(records: Iterable[Any]) -> Followed:
        return follow(capture, header, records, known, several=several, everything=everything)

    if not header.aggregated:
        told, found = passes.lifetimes(capture, header, MARKS, followed, meanwhile)
    else:
        with source.reading(capture, max_memory_records=SNAPSHOTS) as reader:
            left = reader.get_leaked_allocation_records(merge_threads=False)
            told, found = passes.overview(reader), followed(left)
    return _process(capture.name, header, told, found), found.known


def _process(name: str, header: source.Header, told: passes.Overview, found: Followed) -> Process:
    marks = told.snapshots[:: told.stride]
    t_ms = _moments(header, told.records, marks[:, 0])
    rows = moves(found.spans.rows, len(t_ms) - 1)
    of = rows[:, 1]
    who, where = found.spans.owners[of], found.numbers[of]
    changes = summed(np.column_stack([rows[:, 0], where, who, rows[:, 2:]]))
    facts = Facts(
        name=name,
        pid=header.pid,
        aggregated=header.aggregated,
        native=header.native,
        python_objects=told.python_objects,
        records=told.records,
        declared_records=header.records,
        snapshots=len(told.snapshots),
        duration_s=(header.end_ms - header.start_ms) / 1e3,
        last_snapshot_s=float(told.snapshots[-1:, 0].sum() - header.start_ms) / 1e3,
        without_stack=_without(found.spans, found.without),
        mapped_peak_bytes=_peak(changes[_mapped(changes, found.known.owners)], len(t_ms)),
        rss_peak_bytes=int(told.snapshots[:, 2].max(initial=0)),
        heap_peak_bytes=told.peak,
        heap_off_bytes=_off(changes, marks, header),
        looked_up=found.looked_up,
        with_source=found.with_source,
    )
    shown = told.snapshots[:: max(len(told.snapshots) // SNAPSHOTS, 1)]
    return Process(shown, t_ms, changes, found.tables, facts)


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


def _moments(header: source.Header, records: int, at: np.ndarray) -> np.ndarray:
    """Return when the marks were: the start, each snapshot, the end or where it breaks off."""
    if header.aggregated:
        return np.array([header.start_ms, max(header.end_ms, header.start_ms + 1)], dtype=np.int64)
    last = int(at.max(initial=header.start_ms))
    whole = records == header.records and header.end_ms > last
    end = header.end_ms if whole else last + passes.USUAL_MS
    return np.maximum.accumulate(np.array([header.start_ms, *at, end], dtype=np.int64))


def _without(spans: Spans, without: set[int]) -> float:
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
