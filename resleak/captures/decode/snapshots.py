"""What is read of a capture's records, in whatever process: when blocks were live, and of whom.

Neither this nor what it imports loads numpy: a process of its own follows the blocks, and begins
before that is there.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from resleak.captures.decode import memray_file, parallel_read
from resleak.captures.decode.expand import PythonStacks
from resleak.captures.decode.nodes import Nodes
from resleak.captures.decode.replay import ALLOCATORS

if TYPE_CHECKING:
    import numpy as np

#: Of more snapshots than about twice this some are no marks: a drawing needs no more windows.
MARKS = 16
NEVER = -1


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
        import numpy as np  # who only numbers them does without

        both = np.array([*self._numbers, ("", "")], dtype=object)[numbers]
        return {"thread": both[:, 0], "allocator": both[:, 1]}


@dataclass(frozen=True)
class Known:
    """What captures have in common: their stacks, and who allocated."""

    nodes: Nodes = field(default_factory=Nodes)
    owners: Owners = field(default_factory=Owners)


@dataclass(frozen=True)
class Spans:
    """When the blocks of each record were live.

    Attributes
    ----------
    came, went, bytes, blocks : array of int, shape (spans,)
        For each time of coming and going: the snapshot before which it came, the one before which
        it went or -1, how much.
    counts : array of int, shape (records,)
        How many spans each record has; they follow each other.
    owners, stacks : array of int, shape (records,)
        Who allocated, and memray's number of the stack.
    """

    came: array[int] = field(default_factory=lambda: array("q"))
    went: array[int] = field(default_factory=lambda: array("q"))
    bytes: array[int] = field(default_factory=lambda: array("q"))
    blocks: array[int] = field(default_factory=lambda: array("q"))
    counts: array[int] = field(default_factory=lambda: array("q"))
    owners: array[int] = field(default_factory=lambda: array("q"))
    stacks: array[int] = field(default_factory=lambda: array("q"))


@dataclass(frozen=True)
class Followed:
    """What is read of a capture's records, in whatever process.

    Attributes
    ----------
    spans : Spans
        When the blocks were live.
    numbers : sequence of int, shape (records,)
        The node of each record.
    tables : dict of str to list of tuple of int
        ``peak`` and ``temporary``: node, bytes, blocks.
    known : Known
        What was entered.
    without : set of int
        memray's numbers of stacks without a frame.
    looked_up, with_source : float or None
        As those of `Facts`.
    """

    spans: Spans
    numbers: Sequence[int]
    tables: dict[str, list[tuple[int, int, int]]]
    known: Known
    without: set[int]
    looked_up: float | None
    with_source: float | None


#: A capture's header, and what reads it to its end.
Begun = tuple[memray_file.Header, Callable[[], tuple[parallel_read.Overview, Followed]]]


@contextmanager
def begun(capture: Path, known: Known, *, everything: bool, several: bool) -> Iterator[Begun]:
    """Begin to read a capture, and yield its header, and what reads it to its end.

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

    Raises
    ------
    StoreError
        If the file cannot be read.
    """
    header = memray_file.header(capture)

    def followed(records: Iterable[Any]) -> Followed:
        return follow(capture, header, records, known, several=several, everything=everything)

    with parallel_read.begun(capture, header, MARKS, followed) as read:
        yield header, read


def follow(
    capture: Path,
    header: memray_file.Header,
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
    stacks = _kind(header)(known.nodes, top, header.main)
    spans = _spans(records, header, known.owners, stacks)
    numbers = stacks.numbers(spans)
    tables = _tables(capture, header, stacks) if everything else {}
    judged = stacks.looked_up, stacks.with_source
    return Followed(spans, numbers, tables, known, stacks.without, *judged)


def _kind(header: memray_file.Header) -> type[PythonStacks]:
    if not header.native:
        return PythonStacks
    from resleak.captures.decode.hybrid import HybridStacks

    return HybridStacks


def _spans(
    records: Iterable[Any], header: memray_file.Header, owners: Owners, stacks: PythonStacks
) -> Spans:
    found = Spans()
    threads: dict[int, str] = {}
    for record in records:
        tid = record.tid
        if tid not in threads:
            other = "main" if tid == header.main else f"thread {len(threads)}"
            threads[tid] = record.thread_name or other
        found.owners.append(owners.number(threads[tid], record.allocator))
        found.stacks.append(record.stack_id)
        spans = [_left(record)] if header.aggregated else record.intervals
        found.counts.append(len(spans))
        found.came.extend([span.allocated_before_snapshot for span in spans])
        went = [span.deallocated_before_snapshot for span in spans]
        found.went.extend([NEVER if gone is None else gone for gone in went])
        found.bytes.extend([span.n_bytes for span in spans])
        found.blocks.extend([span.n_allocations for span in spans])
        if not header.aggregated:
            record.intervals = ()
        stacks.enter(record)
    return found


def _left(record: Any) -> Any:
    """Return what was left at the end as an interval."""
    return SimpleNamespace(
        allocated_before_snapshot=0,
        deallocated_before_snapshot=None,
        n_bytes=record.size,
        n_allocations=record.n_allocations,
    )


def _tables(
    capture: Path, header: memray_file.Header, stacks: PythonStacks
) -> dict[str, list[tuple[int, int, int]]]:
    with memray_file.reading(capture) as reader:
        found = {"peak": reader.get_high_watermark_allocation_records(merge_threads=True)}
        if not header.aggregated:
            found["temporary"] = reader.get_temporary_allocation_records(merge_threads=True)
        return {
            name: [(stacks.node(r), r.size, r.n_allocations) for r in records]
            for name, records in found.items()
        }
