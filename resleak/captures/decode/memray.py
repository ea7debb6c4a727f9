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
#: More mapped memory than this, and than the process ever held, was reserved and not used.
_RESERVED_BYTES = 256 * 1024**2


def extract(
    capture: Path,
    folder: Path,
    marks: Iterable[dict[str, Any]],
    studied: Iterable[Path],
    root: Path | None,
    source: bool,
) -> dict[str, Any]:
    """Write the tables of a recording of ours; a damaged one can crash the interpreter."""
    expected = {int(mark["mark"]): mark for mark in marks}
    header = memray_file.header(capture)
    if header.aggregated:
        told = "lacks the single allocations (it was written as AGGREGATED_ALLOCATIONS)"
        raise StoreError(f"{capture.name} {told}; capture it again")
    trie = Trie(names(studied, root))
    replay = Replay(trie, mmap.PAGESIZE)
    found: list[tuple[dict[str, Any], np.ndarray]] = []
    with memray_file.reading(capture) as reader:
        last = -1
        for mark, take in replay.marks(reader.get_allocation_records()):
            if mark in expected and mark > last:
                found.append((expected[mark], _rows(take())))
                last = mark
        rss = max((snapshot.rss for snapshot in reader.get_memory_snapshots()), default=0)
        summed = {
            name: _rows((replay.node(one), one.size, one.n_allocations) for one in records)
            for name, records in (
                ("peak", reader.get_high_watermark_allocation_records()),
                ("temporary", reader.get_temporary_allocation_records()),
            )
        }
        main = reader.metadata.main_thread_id
    is_truncated = replay.records != header.records
    if is_truncated and not found:
        raise StoreError(f"{capture.name} is cut off before its first mark; capture it again")
    written = _tables(trie, replay, _thread_names(replay.threads, main), found, summed)
    if source:
        written["sources"] = trie.sources(written["stacks"])
    for name, columns in written.items():
        tables.write_table(folder / f"{name}.parquet", columns, _UNITS)
    mapped = replay.maps.peak
    return {
        "records": replay.records,
        "declared_records": header.records,
        "allocations": replay.allocations,
        # Of native threads, or of a profile function of the studied code.
        "without_stack": replay.without_stack / max(replay.allocations, 1),
        "marks": len(found),
        "expected_marks": len(expected),
        "mapped_peak_bytes": mapped,
        "rss_peak_bytes": rss,
        "reserved": mapped > max(2 * rss, _RESERVED_BYTES),
        "truncated": is_truncated,
    }


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
    summed: Mapping[str, np.ndarray],
) -> dict[str, dict[str, np.ndarray]]:
    """Return the tables of the changes at each mark, and of node, bytes and blocks by name."""
    rows = np.concatenate([_rows(()), *(changes for _, changes in found)])
    of = np.repeat(np.arange(len(found)), [len(changes) for _, changes in found])
    owners = _rows(replay.owners)[rows[:, 0]]
    parts = [owners[:, 0], *(table[:, 0] for table in summed.values())]
    stacks, nodes = trie.used(np.concatenate(parts))
    of_live, *of_summed = np.split(nodes, np.cumsum([len(part) for part in parts])[:-1])
    marks = _marks([mark for mark, _ in found], [int(part[:, 1].sum()) for _, part in found])
    live = {name: marks[name][of] for name in ("mark", "step", "phase")}
    live |= {"node": of_live, "thread": _named(owners[:, 1], threads)}
    live |= {"allocator": _named(owners[:, 2], ALLOCATORS), **_amounts(rows)}
    more = {
        name: {"node": node, **_amounts(table)}
        for (name, table), node in zip(summed.items(), of_summed, strict=True)
    }
    return {"stacks": stacks, "marks": marks, "live": live, **more}


def _amounts(rows: np.ndarray) -> dict[str, np.ndarray]:
    return {"bytes": rows[:, 1], "count": rows[:, 2]}


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
