"""Turn a memray capture into the tables of a capture folder; the only reader of such files."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from resleak.captures import tables
from resleak.captures.decode import memray_file
from resleak.captures.decode.replay import ALLOCATORS, Replay
from resleak.captures.decode.trie import Trie, names
from resleak.errors import StoreError

_UNITS = {"step": "steps", "t_s": "s", "bytes": "B", "count": "blocks"}
_UNITS |= {"heap_bytes": "B", "rss_bytes": "B"}


def extract(
    capture: Path,
    folder: Path,
    marks: Iterable[dict[str, Any]],
    studied: Iterable[Path],
    root: Path | None,
    source: bool,
) -> None:
    """Write the tables of a recording of ours; a damaged one can crash the interpreter."""
    expected = {int(mark["mark"]): mark for mark in marks}
    header = memray_file.header(capture)
    if header.aggregated:
        reason = "lacks the single allocations (it was written as AGGREGATED_ALLOCATIONS)"
        raise StoreError(f"{capture.name} {reason}; capture it again")
    trie = Trie(names(studied, root))
    replay = Replay(trie, mmap.PAGESIZE)
    found: list[tuple[dict[str, Any], np.ndarray]] = []
    with memray_file.reading(capture) as reader:
        last = -1
        for mark, take in replay.marks(reader.get_allocation_records()):
            if mark in expected and mark > last:
                found.append((expected[mark], _rows(take())))
                last = mark
        main = reader.metadata.main_thread_id
    # A run that is killed may end between the announcement of its last mark and the mark.
    if len(found) < max(len(expected) - 1, min(1, len(expected))):
        reason = f"is cut off after {len(found)} of {len(expected)} marks"
        raise StoreError(f"{capture.name} {reason}; capture fewer steps")
    written = _tables(trie, replay, _thread_names(replay.threads, main), found)
    if source:
        written["sources"] = trie.sources(written["stacks"])
    for name, columns in written.items():
        tables.write_table(folder / f"{name}.parquet", columns, _UNITS)


def _rows(rows: Iterable[tuple[int, int, int]]) -> np.ndarray:
    return np.array([*rows], dtype=np.int64).reshape(-1, 3)


def _thread_names(named: Mapping[int, str], main: int) -> dict[int, str]:
    """Return a name for each thread: memray's, or one from the order of appearance."""
    unnamed = {tid: f"thread {number}" for number, tid in enumerate(named)}
    return {tid: name or ("main" if tid == main else unnamed[tid]) for tid, name in named.items()}


def _tables(
    trie: Trie,
    replay: Replay,
    threads: Mapping[int, str],
    found: list[tuple[dict[str, Any], np.ndarray]],
) -> dict[str, dict[str, np.ndarray]]:
    """Return the tables of stacks, marks, and the changes at each mark."""
    rows = np.concatenate([_rows(()), *(changes for _, changes in found)])
    of = np.repeat(np.arange(len(found)), [len(changes) for _, changes in found])
    owners = _rows(replay.owners)[rows[:, 0]]
    stacks, nodes = trie.used(owners[:, 0])
    marks = _marks([mark for mark, _ in found], [int(part[:, 1].sum()) for _, part in found])
    live = {name: marks[name][of] for name in ("mark", "step", "phase")}
    live |= {"node": nodes, "thread": _named(owners[:, 1], threads)}
    live |= {"allocator": _named(owners[:, 2], ALLOCATORS)}
    live |= {"bytes": rows[:, 1], "count": rows[:, 2]}
    return {"stacks": stacks, "marks": marks, "live": live}


def _named(values: np.ndarray, names: Mapping[int, str]) -> np.ndarray:
    # A damaged capture may hold numbers that mean nothing.
    known = [names.get(value, f"unknown {value}") for value in values.tolist()]
    return np.array(known, dtype=object)


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
