"""What is read of a capture's records, in whatever process: when blocks were live, and of whom."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from resleak.stacks import source
from resleak.stacks.expand import HybridStacks, PythonStacks
from resleak.stacks.ledger import ALLOCATORS
from resleak.stacks.nodes import Nodes

_NEVER, _LAST = -1, 2**62


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
class Known:
    """What captures have in common: their stacks, and who allocated."""

    nodes: Nodes = field(default_factory=Nodes)
    owners: Owners = field(default_factory=Owners)


@dataclass(frozen=True)
class Spans:
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


@dataclass(frozen=True)
class Followed:
    """What is read of a capture's records, in whatever process.

    Attributes
    ----------
    spans : Spans
        When the blocks were live.
    numbers : array of int, shape (records,)
        The node of each record.
    tables : dict of str to array of int
        As those of `Process`.
    known : Known
        What was entered.
    without : set of int
        memray's numbers of stacks without a frame.
    looked_up, with_source : float or None
        As those of `Facts`.
    """

    spans: Spans
    numbers: np.ndarray
    tables: dict[str, np.ndarray]
    known: Known
    without: set[int]
    looked_up: float | None
    with_source: float | None


def follow(
    capture: Path,
    header: source.Header,
    records: Iterable[Any],
    known: Known,
    *,
    several: bool,
    everything: bool,
) -> Followed:
    """Follow the blocks of a capture.

    Parameters
    ----------
    capture : Path
        The file.
    header : Header
        Of this file.
    records : iterable
        memray's temporal ones; of a file that has only sums, what was left.
    known : Known
        Where stacks, and who allocated, are entered.
    several : bool
        Put the process above its stacks.
    everything : bool
        Read the high-water mark and what was temporary, too.
    """
    top = ((f"process {header.pid}", "", 0),) if several else ()
    stacks = (HybridStacks if header.native else PythonStacks)(known.nodes, top, header.main)
    spans = _spans(records, header, known.owners, stacks)
    numbers = stacks.numbers(_most(moves(spans.rows), len(spans.owners)))
    tables = _tables(capture, header, stacks) if everything else {}
    judged = stacks.looked_up, stacks.with_source
    return Followed(spans, numbers, tables, known, stacks.without, *judged)


def moves(spans: np.ndarray, last: int = _LAST) -> np.ndarray:
    """Return mark, record, bytes and blocks of each coming and going; mark 0 is the start."""
    came = np.column_stack([spans[:, 1] + 1, spans[:, 0], spans[:, 3:]])
    gone = spans[spans[:, 2] != _NEVER]
    went = np.column_stack([gone[:, 2] + 1, gone[:, 0], -gone[:, 3:]])
    rows = np.concatenate([came, went])
    rows[:, 0] = np.clip(rows[:, 0], 0, last)
    return rows


def _spans(
    records: Iterable[Any], header: source.Header, owners: Owners, stacks: PythonStacks
) -> Spans:
    came, went, sizes, blocks = array("q"), array("q"), array("q"), array("q")
    counts, of, ids = array("q"), array("q"), array("q")
    threads: dict[int, str] = {}
    for record in records:
        tid = record.tid
        if tid not in threads:
            other = "main" if tid == header.main else f"thread {len(threads)}"
            threads[tid] = record.thread_name or other
        of.append(owners.number(threads[tid], record.allocator))
        ids.append(record.stack_id)
        spans = [_left(record)] if header.aggregated else record.intervals
        counts.append(len(spans))
        came.extend([span.allocated_before_snapshot for span in spans])
        went.extend(
            [
                _NEVER if (gone := span.deallocated_before_snapshot) is None else gone
                for span in spans
            ]
        )
        sizes.extend([span.n_bytes for span in spans])
        blocks.extend([span.n_allocations for span in spans])
        if not header.aggregated:
            record.intervals = ()
        stacks.enter(record)
    of_spans = np.repeat(np.arange(len(counts)), counts)
    columns = [of_spans, *(np.array(c, dtype=np.int64) for c in (came, went, sizes, blocks))]
    whole = np.column_stack(columns)
    return Spans(whole, np.array(of, dtype=np.int64), np.array(ids, dtype=np.int64))


def _left(record: Any) -> Any:
    """Return what was left at the end as an interval."""
    return SimpleNamespace(
        allocated_before_snapshot=0,
        deallocated_before_snapshot=None,
        n_bytes=record.size,
        n_allocations=record.n_allocations,
    )


def _most(rows: np.ndarray, records: int) -> np.ndarray:
    """Return the most bytes that each record held at any mark."""
    most = np.zeros(records)
    ordered = rows[np.argsort(rows[:, 1] * (rows[:, 0].max(initial=0) + 1) + rows[:, 0])]
    if len(ordered):
        level = np.cumsum(ordered[:, 2])
        first = np.flatnonzero(np.r_[True, ordered[1:, 1] != ordered[:-1, 1]])
        before = np.r_[0, level[first[1:] - 1]]
        most[ordered[first, 1]] = np.maximum.reduceat(level, first) - before
    return most


def _tables(capture: Path, header: source.Header, stacks: PythonStacks) -> dict[str, np.ndarray]:
    with source.reading(capture) as reader:
        found = {"peak": reader.get_high_watermark_allocation_records(merge_threads=True)}
        if not header.aggregated:
            found["temporary"] = reader.get_temporary_allocation_records(merge_threads=True)
        return {
            name: np.array(
                [(stacks.node(r), r.size, r.n_allocations) for r in records], dtype=np.int64
            ).reshape(-1, 3)
            for name, records in found.items()
        }
