"""Turn memray captures of any program into tables."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resleak.captures import tables
from resleak.captures.decode.process import Process, gathered, levels, summed
from resleak.captures.decode.snapshots import MARKS, Begun, Known, begun
from resleak.errors import StoreError

_UNITS = {"t_s": "s", "step": "s", "bytes": "B", "count": "blocks", "heap_bytes": "B"}
_UNITS |= {"rss_bytes": "B"}


@dataclass(frozen=True)
class Tables:
    """What was read of the captures of a program; it stands where a capture does.

    Parameters
    ----------
    columns : dict of str to dict of str to array
        The tables. ``stacks`` are the nodes of the call stacks, below one for each process if there
        are several; ``live`` is what changed at each mark since the mark before, by stack, thread
        and allocator; ``marks`` are the marks, and ``snapshots`` those that memray made.
    facts : dict
        ``processes``: the `process.Facts` of each capture. ``left_out``: sentences
        about children that could not be read.
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

    Parameters
    ----------
    captures : sequence of Path
        Files that memray wrote, the parent's first.
    everything : bool
        Read ``peak`` too, what was live at the high-water mark of each process, and ``temporary``,
        what was released before its thread allocated again.
    first : Begun, optional
        The first file, if it has been begun.

    Returns
    -------
    Tables

    Raises
    ------
    StoreError
        If the first file cannot be read.
    """
    known = Known()
    processes: list[Process] = []
    left_out: list[str] = []
    for capture in captures:
        try:
            with _begun(captures, capture, known, everything, first) as (header, read):
                told, found = read()
            known = found.known
            processes.append(gathered(capture.name, header, told, found))
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
    marks |= {"t_s": t_s, "heap_bytes": levels(changes, len(t_ms))}
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
    return summed(np.concatenate(parts))


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
