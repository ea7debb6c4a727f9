"""Follow the blocks of a memray file of any program: when they were live, and whose they were.

A process that is forked for this begins before numpy is there: nothing here loads it early.
"""

from __future__ import annotations

import resource
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from resleak.captures.decode import memray_file, parallel_read
from resleak.captures.decode.replay import ALLOCATORS
from resleak.captures.decode.trie import NATIVE, Frame, Nodes, native

if TYPE_CHECKING:
    import numpy as np

#: Beyond about twice as many snapshots, only some become marks: a drawing needs no more windows.
MARKS = 16
#: Snapshot at which a block went that is still live.
NEVER = -1
#: Native stacks are looked up for the largest records, up to this share of the bytes,
_ENOUGH = 0.999
#: for at most so many records,
_MOST = 20_000
#: and as long as symbols take less memory than this: each set of libraries has its own.
_SYMBOLS_BYTES = 640 * 1024**2


@dataclass(frozen=True)
class Known:
    """Stacks and numbers of (thread, allocator) that several files share."""

    nodes: Nodes = field(default_factory=Nodes)
    owners: dict[tuple[str, str], int] = field(default_factory=dict)


class Spans:
    """When the blocks of each record were live.

    Each span `came` before a snapshot and `went` before another or `NEVER`. `counts` has the number
    of spans of each record, which follow each other; `stacks` memray's numbers.
    """

    def __init__(self) -> None:
        self.came, self.went, self.bytes, self.blocks = (array("q") for _ in range(4))
        self.counts, self.owners, self.stacks = (array("q") for _ in range(3))

    def follow(
        self, records: Iterable[Any], header: memray_file.Header, owners: dict[tuple[str, str], int]
    ) -> Iterator[Any]:
        """Append the records of memray with their intervals, and yield each."""
        threads: dict[int, str] = {}
        for record in records:
            tid = record.tid
            if tid not in threads:
                other = "main" if tid == header.main else f"thread {len(threads)}"
                threads[tid] = record.thread_name or other
            if header.aggregated:  # what was left at the end
                left = {"n_bytes": record.size, "n_allocations": record.n_allocations}
                times = {"allocated_before_snapshot": 0, "deallocated_before_snapshot": None}
                intervals = [SimpleNamespace(**left, **times)]
            else:
                intervals, record.intervals = record.intervals, ()
            # A damaged file may hold numbers that mean nothing.
            kind = record.allocator
            owner = threads[tid], ALLOCATORS.get(kind, f"unknown {kind}")
            self.owners.append(owners.setdefault(owner, len(owners)))
            self.stacks.append(record.stack_id)
            self.counts.append(len(intervals))
            self.came.extend([one.allocated_before_snapshot for one in intervals])
            went = [one.deallocated_before_snapshot for one in intervals]
            self.went.extend([NEVER if gone is None else gone for gone in went])
            self.bytes.extend([one.n_bytes for one in intervals])
            self.blocks.extend([one.n_allocations for one in intervals])
            yield record

    def rows(self) -> np.ndarray:
        """Return record, snapshot of coming, of going, bytes and blocks of each span."""
        import numpy as np

        of = np.repeat(np.arange(len(self.counts)), self.counts)
        columns = (self.came, self.went, self.bytes, self.blocks)
        return np.column_stack([of, *(np.array(column, dtype=np.int64) for column in columns)])


def changes(spans: np.ndarray, last: int = 2**62) -> np.ndarray:
    """Return mark, record, bytes and blocks of each coming and going; mark 0 is the start."""
    import numpy as np

    came = np.column_stack([spans[:, 1] + 1, spans[:, 0], spans[:, 3:]])
    gone = spans[spans[:, 2] != NEVER]
    went = np.column_stack([gone[:, 2] + 1, gone[:, 0], -gone[:, 3:]])
    rows = np.concatenate([came, went])
    rows[:, 0] = np.clip(rows[:, 0], 0, last)
    return rows


def largest(rows: np.ndarray, records: int) -> np.ndarray:
    """Return the most bytes that each record had at any mark."""
    import numpy as np

    most = np.zeros(records)
    ordered = rows[np.argsort(rows[:, 1] * (rows[:, 0].max(initial=0) + 1) + rows[:, 0])]
    if len(ordered):
        level = np.cumsum(ordered[:, 2])
        first = np.flatnonzero(np.r_[True, ordered[1:, 1] != ordered[:-1, 1]])
        before = np.r_[0, level[first[1:] - 1]]
        most[ordered[first, 1]] = np.maximum.reduceat(level, first) - before
    return most


class PythonStacks:
    """Enters the Python stacks of records below `top` as nodes, each stack once."""

    looked_up: float | None = None  # share of the bytes whose native frames were looked up
    with_source: float | None = None  # share of these frames that has a source file
    #: What is below a stack of which no native frames were looked up.
    _below: tuple[Frame, ...] = ()

    def __init__(self, nodes: Nodes, top: tuple[Frame, ...], main: int) -> None:
        self._nodes, self._top, self._main = nodes, top, main
        self._known: dict[tuple[int, ...], int] = {}
        self.without: set[int] = set()  # memray's numbers of stacks without a frame

    def numbers(self, records: Iterable[Any], spans: Spans) -> Sequence[int]:
        """Return the node of each record, given when its blocks were live."""
        return [self.node(record) for record in records]

    def node(self, record: Any) -> int:
        """Return the node of a record; only the first record with a stack is asked for it."""
        key = self._key(record)
        node = self._known.get(key)
        if node is None:
            node = self._known[key] = self._add(record, self._below)
        return node

    def _key(self, record: Any) -> tuple[int, ...]:
        # memray cuts off stacks of the main thread where tracking began.
        return record.stack_id, record.tid == self._main

    def _add(self, record: Any, below: tuple[Frame, ...]) -> int:
        stack = record.stack_trace()
        if not stack:
            self.without.add(record.stack_id)
        return self._nodes.add([*below, *stack, *self._top])


class HybridStacks(PythonStacks):
    """Enters Python stacks with the native frames below the innermost line of Python.

    Those between two lines of Python are the interpreter's, with few exceptions; without them, the
    same calls have the same nodes whether or not their native frames were looked up. memray reads
    symbols anew whenever the program loads another library, so records are looked up by such
    generations, the largest first, and no more of them than there is memory for.
    """

    _below = (NATIVE,)
    _frames = _with_source = 0

    def numbers(self, records: Iterable[Any], spans: Spans) -> Sequence[int]:
        """Return the node of each record, given when its blocks were live."""
        kept = [*records]
        weights = largest(changes(spans.rows()), len(spans.owners))
        most, covered = _resident_bytes() + _SYMBOLS_BYTES, 0.0
        for number in self._order(kept, weights):
            if _resident_bytes() > most:
                break
            self._look_up(kept[number])
            covered += weights[number]
        self.looked_up = covered / max(float(weights.sum()), 1.0)
        self.with_source = self._with_source / max(self._frames, 1)
        nodes = []
        while kept:  # memray's records keep the stacks that were read from them
            nodes.append(self.node(kept.pop()))
        return nodes[::-1]

    def _key(self, record: Any) -> tuple[int, ...]:
        return record.stack_id, record.native_stack_id, record.native_segment_generation

    def _order(self, records: list[Any], weights: np.ndarray) -> list[int]:
        """Return the records to look up, in the order in which their symbols are worth it."""
        import numpy as np

        order = np.argsort(-weights, kind="stable")
        share = np.cumsum(weights[order]) / max(float(weights.sum()), 1.0)
        wanted = order[: min(int(np.searchsorted(share, _ENOUGH)) + 1, _MOST)]
        loaded = np.array([records[n].native_segment_generation for n in wanted], np.int64)
        of = np.unique(loaded, return_inverse=True)[1]
        worth = np.bincount(of, weights=weights[wanted], minlength=1)
        first = np.argsort(-worth[of], kind="stable") if len(of) else of
        return [int(number) for number in wanted[first]]

    def _look_up(self, record: Any) -> None:
        python = set(record.stack_trace())
        inner = takewhile(lambda frame: frame not in python, record.hybrid_stack_trace())
        below = [native(frame) for frame in inner]
        self._with_source += sum(has_source for _, has_source in below)
        self._frames += len(below)
        self._known[self._key(record)] = self._add(record, tuple(frame for frame, _ in below))


def _resident_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@dataclass(frozen=True)
class Followed:
    """The decoded records of a file; `tables` have node, bytes and blocks."""

    spans: Spans
    numbers: Sequence[int]
    tables: dict[str, list[tuple[int, int, int]]]
    known: Known
    without: set[int]
    looked_up: float | None
    with_source: float | None


#: A file's header, and the function that reads it to its end.
Begun = tuple[memray_file.Header, Callable[[], tuple[parallel_read.Overview, Followed]]]


@contextmanager
def begun(capture: Path, known: Known, *, everything: bool, several: bool) -> Iterator[Begun]:
    """Begin to read a file, and yield its header, and what reads it to its end."""
    header = memray_file.header(capture)

    def follow(records: Iterable[Any]) -> Followed:
        top = ((f"process {header.pid}", "", 0),) if several else ()
        kind = HybridStacks if header.native else PythonStacks
        stacks = kind(known.nodes, top, header.main)
        spans = Spans()
        numbers = stacks.numbers(spans.follow(records, header, known.owners), spans)
        # The high-water mark, and what was temporary: a pass each.
        tables = _tables(capture, header, stacks) if everything else {}
        shares = stacks.looked_up, stacks.with_source
        return Followed(spans, numbers, tables, known, stacks.without, *shares)

    with parallel_read.begun(capture, header, MARKS, follow) as read:
        yield header, read


def _tables(
    capture: Path, header: memray_file.Header, stacks: PythonStacks
) -> dict[str, list[tuple[int, int, int]]]:
    with memray_file.reading(capture) as reader:
        records = {"peak": reader.get_high_watermark_allocation_records(merge_threads=True)}
        if not header.aggregated:
            records["temporary"] = reader.get_temporary_allocation_records(merge_threads=True)
        return {
            name: [(stacks.node(r), r.size, r.n_allocations) for r in rows]
            for name, rows in records.items()
        }
