"""Turn memray captures of any program into tables."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resleak.captures import tables
from resleak.captures.decode import memray_file, parallel_read, snapshots
from resleak.captures.decode.snapshots import MARKS, Begun, Followed, Known, Owners, begun
from resleak.errors import StoreError

_UNITS = {"t_s": "s", "step": "s", "bytes": "B", "count": "blocks", "heap_bytes": "B"}
_UNITS |= {"rss_bytes": "B"}
#: Beyond about twice as many snapshots, some are left out of their table.
SNAPSHOTS = 500


@dataclass(frozen=True)
class Facts:
    """How complete and how trustworthy a memray file is.

    Attributes
    ----------
    name : str
        The file's name.
    pid : int
        The process.
    aggregated, native, python_objects : bool
        True if only sums were recorded; native stacks; each of Python's objects.
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
        Largest difference between the changes and memray's own count of the heap; 0 is right.
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

    `snapshots` are milliseconds of the epoch, bytes allocated and resident; `t_ms` the times of the
    marks, the first and last of which are start and end of tracking; `changes` are mark, node,
    owner, bytes, blocks; `tables` node, bytes, blocks.
    """

    snapshots: np.ndarray
    t_ms: np.ndarray
    changes: np.ndarray
    tables: dict[str, np.ndarray]
    facts: Facts


@dataclass(frozen=True)
class Tables:
    """Tables of the memray files of a program, used in place of a capture.

    ``stacks`` are nodes of call stacks, below one for each process if there are several; ``live``
    what changed at each mark since the one before, by stack, thread and allocator. The `facts` are
    ``processes``, the `Facts` of each file, and ``left_out``, sentences about unreadable children.
    """

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


def extract(
    captures: Sequence[Path],
    *,
    everything: bool = False,
    first: Begun | None = None,
) -> Tables:
    """Read a capture, and those of its forked children.

    A damaged file can crash the interpreter: call this in a process that may be lost.
    """
    known = Known()
    processes: list[Process] = []
    left_out: list[str] = []
    for capture in captures:
        try:
            with _begun(captures, capture, known, everything, first) as (header, read):
                overview, followed = read()
            known = followed.known
            processes.append(_gathered(capture.name, header, overview, followed))
        except StoreError as error:
            if not processes:
                raise
            left_out.append(str(error))
    facts = {"processes": [asdict(p.facts) for p in processes], "left_out": left_out}
    return Tables(_columns(known, processes), facts)


def _begun(
    captures: Sequence[Path], capture: Path, known: Known, everything: bool, first: Begun | None
) -> AbstractContextManager[Begun]:
    if first and capture == captures[0]:
        return nullcontext(first)
    return begun(capture, known, everything=everything, several=len(captures) > 1)


def _columns(known: Known, processes: list[Process]) -> dict[str, dict[str, np.ndarray]]:
    t_ms = _times(processes)
    t_s = (t_ms - t_ms[0]) / 1e3
    changes = _merged(processes, t_ms)
    mark = changes[:, 0]
    live = {"mark": mark.astype(np.int32), "step": t_s[mark], "phase": _steady(len(mark))}
    live |= {"node": changes[:, 1].astype(np.int32), **known.owners.columns(changes[:, 2])}
    live |= {"bytes": changes[:, 3], "count": changes[:, 4]}
    marks = {"mark": np.arange(len(t_ms), dtype=np.int32), "step": t_s, "phase": _steady(len(t_s))}
    marks |= {"t_s": t_s, "heap_bytes": _levels(changes, len(t_ms))}
    marks |= {"rss_bytes": _rss(processes, t_ms)}
    tables = {"live": live, "marks": marks, "snapshots": _snapshots(processes, int(t_ms[0]))}
    tables |= {name: _joined(processes, name) for name in processes[0].tables}
    return {"stacks": known.nodes.columns(), **tables}


def _times(processes: list[Process]) -> np.ndarray:
    """Return the moments of all processes, thinned out if they are many."""
    if len(processes) == 1:
        return processes[0].t_ms
    moments: np.ndarray = np.unique(np.concatenate([process.t_ms for process in processes]))
    if len(moments) <= 2 * MARKS + 2:
        return moments
    kept = np.linspace(0, len(moments) - 1, 2 * MARKS).round().astype(int)
    thinned: np.ndarray = moments[kept]
    return thinned


def _merged(processes: list[Process], t_ms: np.ndarray) -> np.ndarray:
    """Return the changes of all processes, each at the first moment that sees it."""
    if len(processes) == 1:
        return processes[0].changes
    parts = [process.changes.copy() for process in processes]
    for part, process in zip(parts, processes, strict=True):
        part[:, 0] = np.searchsorted(t_ms, process.t_ms)[part[:, 0]]
    return _summed(np.concatenate(parts))


def _rss(processes: list[Process], t_ms: np.ndarray) -> np.ndarray:
    """Return what was resident at each moment, of the processes that ran; NaN before any look."""
    total = np.full(len(t_ms), np.nan)
    for process in processes:
        at, rss = process.snapshots[:, 0], process.snapshots[:, 2].astype(float)
        seen = np.searchsorted(at, t_ms, side="right") - 1
        runs = (seen >= 0) & (t_ms <= process.t_ms[-1])
        total[runs] = np.nan_to_num(total[runs]) + rss[seen[runs]]
    return total


def _snapshots(processes: list[Process], start: int) -> dict[str, np.ndarray]:
    rows = np.concatenate([process.snapshots for process in processes])
    of = np.repeat([p.facts.pid for p in processes], [len(p.snapshots) for p in processes])
    columns = {"process": of.astype(np.int64), "t_s": (rows[:, 0] - start) / 1e3}
    return columns | {"heap_bytes": rows[:, 1], "rss_bytes": rows[:, 2]}


def _joined(processes: list[Process], name: str) -> dict[str, np.ndarray]:
    rows = np.concatenate([p.tables[name] for p in processes if name in p.tables])
    return {"node": rows[:, 0].astype(np.int32), "bytes": rows[:, 1], "count": rows[:, 2]}


def _steady(count: int) -> np.ndarray:
    return np.full(count, "steady", dtype=object)


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
    facts = Facts(
        name=name,
        pid=header.pid,
        aggregated=header.aggregated,
        native=header.native,
        python_objects=overview.python_objects,
        records=overview.records,
        declared_records=header.records,
        snapshots=len(looks),
        duration_s=(header.end_ms - header.start_ms) / 1e3,
        last_snapshot_s=float(looks[-1:, 0].sum() - header.start_ms) / 1e3,
        without_stack=_without(lived, followed),
        mapped_peak_bytes=_peak(changes[_mapped(changes, followed.known.owners)], len(t_ms)),
        rss_peak_bytes=int(looks[:, 2].max(initial=0)),
        heap_peak_bytes=overview.peak,
        heap_off_bytes=_off(changes, marks, header),
        looked_up=followed.looked_up,
        with_source=followed.with_source,
    )
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


def _without(lived: np.ndarray, followed: Followed) -> float:
    blocks = np.bincount(lived[:, 0], lived[:, 4], minlength=len(followed.spans.stacks))
    stacks = np.array(followed.spans.stacks, dtype=np.int64)
    lacking = np.isin(stacks, np.fromiter(followed.without, dtype=np.int64))
    return float(blocks[lacking].sum() / max(blocks.sum(), 1.0))


def _mapped(changes: np.ndarray, owners: Owners) -> np.ndarray:
    mapped: np.ndarray = owners.columns(changes[:, 2])["allocator"] == "mmap"
    return mapped


def _peak(changes: np.ndarray, marks: int) -> int:
    return int(_levels(changes, marks).max(initial=0))


def _off(changes: np.ndarray, snapshots: np.ndarray, header: memray_file.Header) -> int:
    if header.aggregated:
        return 0
    inner = _levels(changes, len(snapshots) + 2)[1:-1]
    return int(np.abs(inner - snapshots[:, 1]).max(initial=0))
