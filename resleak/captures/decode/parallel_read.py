"""memray's two passes over a capture, at the same time.

``FileReader`` goes over a file twice: it counts the records, and learns when its snapshots were;
then it follows the blocks. Here this process makes the first pass while one that it forks makes the
second. The second needs a reader that begins without having counted, which memray has not: it is
made with a blank capture, and given the real one in its place.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from resleak.captures.decode import memray_file
from resleak.errors import StoreError

#: memray's usual time between two snapshots.
USUAL_MS = 10
#: Snapshots that a reader can be made to expect; more would be days.
_MOST = 10**7
#: Fewer than this, while there are more, and the file is read again: it was not the usual time.
_FEWEST = 8
_ALL = 2**62
T = TypeVar("T")


@dataclass(frozen=True)
class Overview:
    """The counts of memray's first pass over a file."""

    records: int
    peak: int
    python_objects: bool
    snapshots: list[list[int]]  # milliseconds of the epoch, bytes allocated and resident
    stride: int = 1  # the intervals of records count every n-th of them


@contextmanager
def begun(
    capture: Path, header: memray_file.Header, most: int, follow: Callable[[Iterable[Any]], T]
) -> Iterator[Callable[[], tuple[Overview, T]]]:
    """Begin to read a file, and yield the function that reads it to its end.

    `follow` gets memray's temporal records, or what was left if the file has only sums, maybe in a
    fork from before numpy was loaded. Beyond about twice `most` snapshots, some are skipped.
    """
    expected = (header.end_ms - header.start_ms) // USUAL_MS
    stride = max(expected // most, 1)

    def in_turn() -> tuple[Overview, T]:
        with memray_file.reading(capture, max_memory_records=2 * most) as reader:
            single = reader.get_temporal_allocation_records
            records_of = reader.get_leaked_allocation_records if header.aggregated else single
            return _overview(reader), follow(records_of(merge_threads=False))

    def second_pass(send: Callable[[object], object]) -> None:
        try:
            with _uncounted(capture, stride, most) as reader:
                records = reader.get_temporal_allocation_records(merge_threads=False)
                first = [*islice(records, 1)]  # the whole pass
                # Sent while the reader is open: taking apart what it knows of each block takes long
                send(follow(chain(first, records.gi_yieldfrom or ())))
        except StoreError as error:
            send(error)

    def at_once() -> tuple[Overview, T]:
        with memray_file.reading(capture, max_memory_records=10 * _MOST) as reader:
            found = replace(_overview(reader), stride=stride)
        if stride > 1 and len(found.snapshots) < _FEWEST * stride:
            return in_turn()
        content = answer()
        if not content:
            raise StoreError(f"{capture.name} is damaged: a reader of it crashed; capture it again")
        followed = pickle.loads(content)
        if isinstance(followed, StoreError):
            raise followed
        return found, followed

    is_usual = 0 < expected < _MOST and not header.is_older and not header.aggregated
    if is_usual and hasattr(os, "memfd_create"):
        with _forked(second_pass) as answer:
            yield at_once
    else:
        yield in_turn


def _overview(reader: Any) -> Overview:
    """Return what a reader found out when it was made."""
    about, seen = reader.metadata, reader.get_memory_snapshots()
    return Overview(
        records=int(about.total_allocations),
        peak=int(about.peak_memory),
        # memray 1.10 does not say: no warning then.
        python_objects=getattr(about, "trace_python_allocators", True)
        or about.python_allocator == "malloc",
        snapshots=[[one.time, one.heap, one.rss] for one in seen],
    )


@contextmanager
def _uncounted(capture: Path, stride: int, most: int) -> Iterator[Any]:
    """Yield a reader that was not made to count, of all records and every n-th snapshot."""
    place = os.memfd_create("resleak")
    with open(place, "wb", closefd=False) as blank:
        blank.write(memray_file.blank(stride * most))
    with memray_file.reading(capture, place, max_memory_records=most) as reader:
        with capture.open("rb") as file:
            os.dup2(file.fileno(), place)  # what it opens again, by its number, for each pass
        counted = next(held for held in gc.get_referents(reader) if isinstance(held, dict))
        counted["stats"]["n_allocations"] = _ALL
        yield reader


@contextmanager
def _forked(work: Callable[[Callable[[object], object]], object]) -> Iterator[Callable[[], bytes]]:
    """Work in a fork; yield a function that waits for its answer, which a crash leaves empty."""
    ours, theirs = os.pipe()

    def send(found: object) -> NoReturn:
        with suppress(OSError), open(theirs, "wb") as answer:
            pickle.dump(found, answer)
        os._exit(0)

    process = os.fork()
    if not process:
        with suppress(BaseException):
            work(send)
        os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as answer:
        try:
            yield answer.read
        finally:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
