"""What is relied on of memray's reader, which its documentation does not promise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from helpers import foreign

from resleak.captures.decode import memray_file, parallel_read
from resleak.captures.decode.replay import ALLOCATORS, FREE, MMAP, MUNMAP, PYMALLOC_FREE

memray = pytest.importorskip("memray")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return foreign.record(tmp_path_factory.mktemp("whole"), kind="threads", seconds=0.4)


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("native")
    return foreign.record(folder, native_traces=True, compress=False, seconds=0.2)


@pytest.fixture(scope="module")
def sums(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sums")
    return foreign.record(folder, file_format="AGGREGATED_ALLOCATIONS", seconds=0.2)


def test_allocators_have_the_numbers_we_know() -> None:
    """Each of memray's allocators is one of ours, or one of the two ways to release."""
    theirs = {kind.value: kind.name.lower() for kind in memray.AllocatorType}
    releases = {PYMALLOC_FREE: "pymalloc_free", FREE: "free", MUNMAP: "munmap"}
    assert theirs == ALLOCATORS | releases
    assert theirs[MMAP] == "mmap"


def test_the_reader_offers_what_is_called() -> None:
    """The reader can be thinned out, and has each method with the arguments that are given."""
    wanted = {
        "get_high_watermark_allocation_records",
        "get_leaked_allocation_records",
        "get_temporary_allocation_records",
        "get_temporal_allocation_records",
        "get_allocation_records",
        "get_memory_snapshots",
        "metadata",
    }
    assert wanted <= set(dir(memray.FileReader))


def test_records_have_the_fields_that_are_read(whole: Path) -> None:
    """Records, their intervals, snapshots and metadata have the fields we name."""
    with memray.FileReader(whole, max_memory_records=500) as reader:
        temporal = next(iter(reader.get_temporal_allocation_records(merge_threads=False)))
        leaked = next(iter(reader.get_leaked_allocation_records(merge_threads=False)))
        snapshot = next(iter(reader.get_memory_snapshots()))
        metadata = reader.metadata
    both = {"tid", "thread_name", "allocator", "stack_id", "native_stack_id"}
    both |= {"native_segment_generation", "stack_trace", "hybrid_stack_trace"}
    assert both | {"intervals"} <= set(dir(temporal))
    assert both | {"size", "n_allocations"} <= set(dir(leaked))
    times = {"allocated_before_snapshot", "deallocated_before_snapshot"}
    assert times | {"n_bytes", "n_allocations"} <= set(dir(temporal.intervals[0]))
    assert snapshot._fields == ("time", "rss", "heap")
    named = {"pid", "main_thread_id", "python_allocator", "trace_python_allocators"}
    assert named | {"total_allocations", "peak_memory"} <= set(dir(metadata))
    assert metadata.python_allocator == "pymalloc"


@pytest.mark.parametrize("most", [10_000, 10])
def test_intervals_are_the_heap_of_every_snapshot(whole: Path, most: int) -> None:
    """A block is live at i if it came by then and went later: that is the heap memray saw."""
    with memray.FileReader(whole, max_memory_records=most) as reader:
        heap = [snapshot.heap for snapshot in reader.get_memory_snapshots()]
        live = [0] * len(heap)
        for record in reader.get_temporal_allocation_records(merge_threads=False):
            for span in record.intervals:
                gone = span.deallocated_before_snapshot
                end = len(heap) if gone is None else gone
                for at in range(span.allocated_before_snapshot, end):
                    live[at] += span.n_bytes
    assert len(heap) <= most
    assert live == heap


def followed(records: Iterable[Any]) -> list[tuple[Any, ...]]:
    whose = attrgetter("tid", "allocator", "stack_id", "native_stack_id")
    when = attrgetter(
        "allocated_before_snapshot", "deallocated_before_snapshot", "n_bytes", "n_allocations"
    )
    return [(whose(record), [*map(when, record.intervals)]) for record in records]


def lifetimes(capture: Path, header: memray_file.Header, most: int, follow: Any) -> Any:
    with parallel_read.begun(capture, header, most, follow) as read:
        return read()


@pytest.mark.parametrize("name", ["whole", "native"])
def test_both_passes_at_once_tell_what_one_after_the_other_does(
    name: str, request: pytest.FixtureRequest
) -> None:
    """A reader that was not made to count has the same intervals; the other, the same snapshots."""
    capture = request.getfixturevalue(name)
    told, found = lifetimes(capture, memray_file.header(capture), 10_000, followed)
    with memray.FileReader(capture) as reader:
        assert told.snapshots == [
            [seen.time, seen.heap, seen.rss] for seen in reader.get_memory_snapshots()
        ]
        assert told.records == reader.metadata.total_allocations
        assert told.peak == reader.metadata.peak_memory
        assert found == followed(reader.get_temporal_allocation_records(merge_threads=False))


def test_intervals_count_every_so_many_th_snapshot(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stride, what is live at i is the heap of the snapshot that the stride leads to."""
    monkeypatch.setattr(parallel_read, "_FEWEST", 0)
    told, found = lifetimes(whole, memray_file.header(whole), 8, followed)
    assert told.stride > 1
    heap = [seen[1] for seen in told.snapshots[:: told.stride]]
    live = [0] * len(heap)
    for _, spans in found:
        for begun, gone, size, _ in spans:
            for at in range(begun, len(heap) if gone is None else gone):
                live[at] += size
    assert live == heap


def test_a_capture_of_unusual_times_is_read_one_pass_after_the_other(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If there are far fewer snapshots than its length lets expect, those there are all count."""
    monkeypatch.setattr(parallel_read, "USUAL_MS", 1)
    told, _ = lifetimes(whole, memray_file.header(whole), 50, followed)
    with memray.FileReader(whole) as reader:
        count = len(list(reader.get_memory_snapshots()))
    assert told.stride == 1
    assert len(told.snapshots) == count <= 100


def test_a_stack_comes_with_its_leaf_first(whole: Path) -> None:
    """The innermost frame is the first, as (function, file, line)."""
    with memray.FileReader(whole) as reader:
        stacks = [r.stack_trace() for r in reader.get_leaked_allocation_records()]
    leaks = [stack for stack in stacks if stack and stack[0][0] == "keep"]
    assert leaks
    for stack in leaks:
        (function, file, line), caller = stack[0], stack[1]
        assert (function, Path(file).name, line) == ("keep", "store.py", foreign.LEAK[2])
        assert caller[0] == "work"


def test_a_stack_has_one_number_in_all_passes(whole: Path) -> None:
    """The number of a stack means the same stack in each pass over a file."""
    seen: defaultdict[int, set[Any]] = defaultdict(set)
    with memray.FileReader(whole) as reader:
        passes = (
            reader.get_temporal_allocation_records(merge_threads=False),
            reader.get_leaked_allocation_records(merge_threads=False),
            reader.get_high_watermark_allocation_records(),
            reader.get_temporary_allocation_records(threshold=1),
        )
        for records in passes:
            for record in records:
                seen[record.stack_id].add(tuple(record.stack_trace(1_000_000)))
    assert len(seen) > 10
    assert all(len(stacks) == 1 for stacks in seen.values())


def test_sums_refuse_what_needs_single_allocations(sums: Path) -> None:
    """Of an aggregated file there is what was left and what was live at the peak, and no more."""
    with memray.FileReader(sums) as reader:
        assert list(reader.get_leaked_allocation_records(merge_threads=False))
        assert list(reader.get_high_watermark_allocation_records())
        for method in ("get_temporal_allocation_records", "get_temporary_allocation_records"):
            with pytest.raises(NotImplementedError):
                list(getattr(reader, method)())


@pytest.mark.parametrize("name", ["whole", "native", "sums"])
def test_the_header_is_laid_out_as_we_read_it(name: str, request: pytest.FixtureRequest) -> None:
    """Flags, records and times that we read from the first bytes are those that memray reads."""
    capture = request.getfixturevalue(name)
    ours = memray_file.header(capture)
    with memray.FileReader(capture) as reader:
        theirs = reader.metadata
    assert ours.native is theirs.has_native_traces is (name == "native")
    assert (ours.pid, ours.main) == (theirs.pid, theirs.main_thread_id)
    aggregated = theirs.file_format == memray.FileFormat.AGGREGATED_ALLOCATIONS
    assert ours.aggregated is aggregated is (name == "sums")
    assert ours.start_ms == round(theirs.start_time.timestamp() * 1000)
    assert ours.end_ms == round(theirs.end_time.timestamp() * 1000)
    if not aggregated:
        assert ours.records == theirs.total_allocations
