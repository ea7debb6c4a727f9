"""What lived when, in one pass over a capture: memray's other one is made beside it.

``FileReader`` goes over a file twice. First it counts the records and learns when its snapshots
were; then it follows the blocks. Here a forked process makes the first pass while this one makes
the second. That needs a reader that was told to begin without having counted, which memray has not:
it is given a blank capture, and the real one in its place once it is open.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from resleak.errors import StoreError
from resleak.stacks import source

#: memray's usual time between two snapshots.
USUAL_MS = 10
#: Snapshots that a reader can be made to expect; more would be days.
_MOST = 10**7
#: Fewer than this, while there are more, and the file is read again: it was not the usual time.
_FEWEST = 16
_ALL = 2**62


@dataclass(frozen=True)
class Overview:
    """What memray's first pass over a capture tells.

    Attributes
    ----------
    pid, main : int
        The process, and its main thread.
    records : int
        How many the file has.
    peak : int
        The most bytes that were allocated.
    python_objects : bool
        Whether each of Python's objects was recorded.
    snapshots : array of int, shape (snapshots, 3)
        Milliseconds of the epoch, bytes allocated, bytes resident.
    """

    pid: int
    main: int
    records: int
    peak: int
    python_objects: bool
    snapshots: np.ndarray


def overview(reader: Any) -> Overview:
    """Return what a reader found out when it was made."""
    told, seen = reader.metadata, reader.get_memory_snapshots()
    return Overview(
        pid=int(told.pid),
        main=int(told.main_thread_id),
        records=int(told.total_allocations),
        peak=int(told.peak_memory),
        python_objects=bool(told.trace_python_allocators or told.python_allocator == "malloc"),
        snapshots=np.array([(s.time, s.heap, s.rss) for s in seen], dtype=np.int64).reshape(-1, 3),
    )


@contextmanager
def lifetimes(
    capture: Path, header: source.Header, most: int
) -> Iterator[tuple[Overview, Iterator[Any]]]:
    """Yield what is known of a capture, and memray's temporal records.

    Parameters
    ----------
    capture : Path
        A file with single allocations.
    header : Header
        Of this file.
    most : int
        Of more snapshots than about twice as many, some are passed over.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    expected = (header.end_ms - header.start_ms) // USUAL_MS
    if 0 < expected < _MOST and hasattr(os, "memfd_create"):
        stride = max(expected // most, 1)
        with _forked(lambda: _told(capture)) as answer, _uncounted(capture, stride, most) as one:
            records = one.get_temporal_allocation_records(merge_threads=False)
            begun = list(islice(records, 1))  # the whole pass
            found = _answered(answer(), capture)
            kept = found.snapshots[::stride]
            if len(kept) >= min(_FEWEST, len(found.snapshots)):
                yield replace(found, snapshots=kept), chain(begun, records)
                return
    with source.reading(capture, max_memory_records=most) as reader:
        yield overview(reader), reader.get_temporal_allocation_records(merge_threads=False)


@contextmanager
def _uncounted(capture: Path, stride: int, most: int) -> Iterator[Any]:
    """Yield a reader that was not made to count, of all records and each so many-th snapshot."""
    place = os.memfd_create("resleak")
    with open(place, "wb", closefd=False) as blank:
        blank.write(source.blank(stride * most))
    with source.reading(capture, place, max_memory_records=most) as reader:
        with capture.open("rb") as file:
            os.dup2(file.fileno(), place)  # what it opens again, by its number, for each pass
        counted = next(held for held in gc.get_referents(reader) if isinstance(held, dict))
        counted["stats"]["n_allocations"] = _ALL
        yield reader


def _told(capture: Path) -> Overview | StoreError:
    try:
        with source.reading(capture, max_memory_records=10 * _MOST) as reader:
            return overview(reader)
    except StoreError as error:
        return error


def _answered(answer: bytes, capture: Path) -> Overview:
    if not answer:
        raise StoreError(f"{capture.name} is damaged: a reader of it crashed; capture it again")
    found = pickle.loads(answer)
    if isinstance(found, StoreError):
        raise found
    assert isinstance(found, Overview)
    return found


@contextmanager
def _forked(work: Callable[[], object]) -> Iterator[Callable[[], bytes]]:
    """Work in a process of its own; yield what waits for the answer, empty if it crashed."""
    ours, theirs = os.pipe()
    process = os.fork()
    if not process:
        with suppress(BaseException), open(theirs, "wb") as answer:
            answer.write(pickle.dumps(work()))
        os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as answer:
        try:
            yield answer.read
        finally:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
