"""Limitations and damage of a memray capture, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from resleak import formatting as fmt

#: More mapped memory than this, and than twice what was resident, was reserved and not used.
_RESERVED_BYTES = 256 * 1024**2
#: A share of bytes whose native frames were not looked up, worth a sentence.
_NOT_LOOKED_UP = 0.01
#: A share of blocks without a stack, and of native frames without source, worth a sentence.
_WITHOUT_STACK, _WITHOUT_SOURCE = 0.05, 0.5
#: A program may end this long after memray's last look at it.
_SILENCE_S, _SILENCE_SHARE = 1.0, 0.1


def cautions(facts: Mapping[str, Any]) -> list[str]:
    """Return the limitations of one capture, from the facts that its decoder counted."""
    sentences = [*_damage(facts), *_stacks(facts), *_memory(facts)]
    return [f"{facts['name']}: {sentence}" for sentence in sentences]


def _damage(facts: Mapping[str, Any]) -> Iterator[str]:
    if facts["aggregated"]:
        yield (
            "it was written as AGGREGATED_ALLOCATIONS, which has sums only: it tells what was left "
            "at the end and what was live at the peak, but neither growth over time nor temporary "
            "allocations; rates are what was left, divided by the time it ran"
        )
    read, declared = facts["records"], facts["declared_records"]
    silence_s = facts["duration_s"] - facts["last_snapshot_s"]
    if not facts["aggregated"] and not declared:
        yield (
            "it was never closed, so the program was killed or still runs: what is here ends at "
            f"{fmt.amount(facts['last_snapshot_s'], 's')}"
        )
    elif not facts["aggregated"] and read != declared:
        part = fmt.share(read / declared)
        yield f"it is cut off: it has {part} of the {fmt.number(declared)} records it had"
    elif silence_s > max(_SILENCE_S, _SILENCE_SHARE * facts["duration_s"]):
        yield (
            f"memray last looked at {fmt.amount(facts['last_snapshot_s'], 's')} of "
            f"{fmt.amount(facts['duration_s'], 's')}: what came after has no times, or is missing"
        )
    if facts["heap_off_bytes"]:
        off = fmt.amount(facts["heap_off_bytes"], "B")
        yield f"its changes and its totals differ by up to {off}: it is damaged, or was misread"


def _stacks(facts: Mapping[str, Any]) -> Iterator[str]:
    if facts["without_stack"] > _WITHOUT_STACK:
        yield (
            f"{fmt.share(facts['without_stack'])} of the blocks have no Python stack: threads "
            "that run no Python, or code that called sys.setprofile, as profilers and debuggers do"
        )
    if not facts["native"]:
        return
    looked_up, with_source = facts["looked_up"], facts["with_source"]
    if looked_up < 1 - _NOT_LOOKED_UP:
        yield (
            f"native frames were looked up for {fmt.share(looked_up)} of the bytes; the other "
            "stacks end in <native>"
        )
    if with_source < 1 - _WITHOUT_SOURCE:
        yield (
            f"{fmt.share(1 - with_source)} of the native frames have no source file: the "
            "libraries lack debug information, or are not those of the recording"
        )


def _memory(facts: Mapping[str, Any]) -> Iterator[str]:
    if not facts["python_objects"]:
        yield (
            "Python's own allocator was not traced: small objects show as the 1 MiB arenas they "
            "are in, at the line that needed a new one; record with --trace-python-allocators"
        )
    mapped, rss = facts["mapped_peak_bytes"], facts["rss_peak_bytes"]
    if mapped > max(2 * rss, _RESERVED_BYTES):
        yield (
            f"{fmt.amount(mapped, 'B')} were mapped, but at most {fmt.amount(rss, 'B')} were "
            "ever resident: an allocator reserved address space, which is no leak; for pyarrow's, "
            "record with ARROW_DEFAULT_MEMORY_POOL=system"
        )
