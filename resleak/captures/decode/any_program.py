"""Turn memray captures of any program into tables."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resleak.captures import tables
from resleak.captures.decode import memray_file, parallel_read, snapshots
from resleak.captures.decode.snapshots import MARKS, Begun, Followed, Known, begun
from resleak.errors import StoreError

_UNITS = {"t_s": "s", "step": "s", "bytes": "B", "count": "blocks", "heap_bytes": "B"}
_UNITS |= {"rss_bytes": "B"}
#: Beyond about twice as many snapshots, some are left out of their table.
SNAPSHOTS = 500


@dataclass(frozen=True)
class Process:
    """The allocations of one process."""

    snapshots: np.ndarray  # milliseconds of the epoch, bytes allocated and resident
    t_ms: np.ndarray  # of the start, the marks and the end
    changes: np.ndarray  # mark, node, owner, bytes, blocks
    tables: dict[str, np.ndarray]  # node, bytes, blocks
    facts: dict[str, Any]  # how far the file can be trusted


@dataclass(frozen=True)
class Tables:
    """Tables of the memray files of a program, used in place of a capture, with facts of each."""

    columns: dict[str, dict[str, np.ndarray]]
    facts: dict[str, Any]
    instrument: str = "memray"
    per: str = "s"

    def table(self, name: str) -> dict[str, np.ndarray]:
        """Return the columns of a table."""
        return self.columns[name]

    def write(self, folder: Path) -> None:
        """Write each table to a file."""
        for name, columns in self.columns.items():
            tables.write_table(folder / f"{name}.parquet", columns, _UNITS)


def extract(captures: Sequence[Path], everything: bool, first: Begun) -> Tables:
    """Read a capture that was begun, and its children's; damaged ones can crash the interpreter."""
    known = Known()
    processes: list[Process] = []
    left_out: list[str] = []
    for capture in captures:
        opened = begun(capture, known, everything=everything, several=len(captures) > 1)
        try:
            with nullcontext(first) if capture == captures[0] else opened as (header, read):
                overview, followed = read()
            known = followed.known
            processes.append(_gathered(capture.name, header, overview, followed))
        except StoreError as error:
            if not processes:
                raise
            left_out.append(str(error))
    facts = {"processes": [process.facts for process in processes], "left_out": left_out}
    return Tables(_columns(known, processes), facts)


def _columns(known: Known, processes: list[Process]) -> dict[str, dict[str, np.ndarray]]:
    t_ms, changes = processes[0].t_ms, processes[0].changes
    if len(processes) > 1:
        t_ms = _moments_of_all(processes)
        parts = [process.changes.copy() for process in processes]
        for part, process in zip(parts, processes, strict=True):
            # Each change is at the first moment that sees it.
            part[:, 0] = np.searchsorted(t_ms, process.t_ms)[part[:, 0]]
        changes = _summed(np.concatenate(parts))
    t_s = (t_ms - t_ms[0]) / 1e3
    marks = {"mark": np.arange(len(t_ms), dtype=np.int32), "step": t_s}
    marks |= {"phase": np.full(len(t_s), "steady", dtype=object)}
    live = {name: column[changes[:, 0]] for name, column in marks.items()}
    owners = _owners(known, changes)
    live |= {"node": changes[:, 1].astype(np.int32)}
    live |= {"thread": owners[:, 0], "allocator": owners[:, 1]}
    live |= {"bytes": changes[:, 3], "count": changes[:, 4]}
    marks |= {"t_s": t_s, "heap_bytes": _levels(changes, len(t_ms))}
    marks |= {"rss_bytes": _rss(processes, t_ms)}
    looks = np.concatenate([process.snapshots for process in processes])
    pids = [process.facts["pid"] for process in processes]
    of = np.repeat(pids, [len(process.snapshots) for process in processes]).astype(np.int64)
    shown = {"process": of, "t_s": (looks[:, 0] - int(t_ms[0])) / 1e3}
    shown |= {"heap_bytes": looks[:, 1], "rss_bytes": looks[:, 2]}
    columns_of = {"stacks": known.nodes.columns(), "live": live, "marks": marks, "snapshots": shown}
    for name in processes[0].tables:
        rows = np.concatenate([one.tables[name] for one in processes if name in one.tables])
        columns_of[name] = {"node": rows[:, 0].astype(np.int32)}
        columns_of[name] |= {"bytes": rows[:, 1], "count": rows[:, 2]}
    return columns_of


def _moments_of_all(processes: list[Process]) -> np.ndarray:
    """Return the moments of all processes, thinned out if they are many."""
    moments: np.ndarray = np.unique(np.concatenate([process.t_ms for process in processes]))
    if len(moments) <= 2 * MARKS + 2:
        return moments
    kept = np.linspace(0, len(moments) - 1, 2 * MARKS).round().astype(int)
    thinned: np.ndarray = moments[kept]
    return thinned


def _rss(processes: list[Process], t_ms: np.ndarray) -> np.ndarray:
    """Return what was resident at each moment, of the processes that ran; NaN before any look."""
    total = np.full(len(t_ms), np.nan)
    for process in processes:
        at, rss = process.snapshots[:, 0], process.snapshots[:, 2].astype(float)
        seen = np.searchsorted(at, t_ms, side="right") - 1
        runs = (seen >= 0) & (t_ms <= process.t_ms[-1])
        total[runs] = np.nan_to_num(total[runs]) + rss[seen[runs]]
    return total


def _owners(known: Known, changes: np.ndarray) -> np.ndarray:
    """Return the thread and the allocator of each change."""
    owners: np.ndarray = np.array([*known.owners, ("", "")], dtype=object)[changes[:, 2]]
    return owners


def _gathered(
    name: str, header: memray_file.Header, overview: parallel_read.Overview, followed: Followed
) -> Process:
    """Return what a process had allocated, given what was read of its file."""
    looks = _numbers(overview.snapshots)
    marks, lived = looks[:: overview.stride], followed.spans.rows()
    t_ms = _moments(header, overview.records, marks[:, 0])
    moved = snapshots.changes(lived, len(t_ms) - 1)
    who, where = (np.array(of, dtype=np.int64) for of in (followed.spans.owners, followed.numbers))
    of = moved[:, 1]
    changes = _summed(np.column_stack([moved[:, 0], where[of], who[of], moved[:, 2:]]))
    is_mapped = _owners(followed.known, changes)[:, 1] == "mmap"
    off = 0  # largest difference between the changes and memray's own count of the heap
    if not header.aggregated:
        off = np.abs(_levels(changes, len(t_ms))[1:-1] - marks[:, 1]).max(initial=0)
    facts = {
        "name": name,
        "pid": header.pid,
        "aggregated": header.aggregated,
        "native": header.native,
        "python_objects": overview.python_objects,
        "records": overview.records,
        "declared_records": header.records,  # 0 if the file was never closed
        "snapshots": len(looks),
        "duration_s": (header.end_ms - header.start_ms) / 1e3,
        "last_snapshot_s": float(looks[-1:, 0].sum() - header.start_ms) / 1e3,
        "without_stack": _share_without_stack(lived, followed),
        "mapped_peak_bytes": int(_levels(changes[is_mapped], len(t_ms)).max(initial=0)),
        "rss_peak_bytes": int(looks[:, 2].max(initial=0)),
        "heap_peak_bytes": overview.peak,
        "heap_off_bytes": int(off),
        "looked_up": followed.looked_up,
        "with_source": followed.with_source,
    }
    shown = looks[:: max(len(looks) // SNAPSHOTS, 1)]
    tables = {name: _numbers(table) for name, table in followed.tables.items()}
    return Process(shown, t_ms, changes, tables, facts)


def _numbers(table: Sequence[Sequence[int]]) -> np.ndarray:
    return np.array(table, dtype=np.int64).reshape(-1, 3)


def _summed(rows: np.ndarray) -> np.ndarray:
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


def _levels(changes: np.ndarray, marks: int) -> np.ndarray:
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


def _share_without_stack(lived: np.ndarray, followed: Followed) -> float:
    """Return the share of the blocks that have no Python stack."""
    blocks = np.bincount(lived[:, 0], lived[:, 4], minlength=len(followed.spans.stacks))
    stacks = np.array(followed.spans.stacks, dtype=np.int64)
    lacking = np.isin(stacks, np.fromiter(followed.without, dtype=np.int64))
    return float(blocks[lacking].sum() / max(blocks.sum(), 1.0))
