"""Kinds of growth told apart, on made-up traces with known answers."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from helpers import traces as made

from resleak.analysis import diagnosis, growth
from resleak.workload.gauges import BUILTIN, Gauge

MIB = 1024.0**2
LEVEL = dict.fromkeys(("blocks", "heap", "native", "rss"), made.flat)


def diagnosed(**how: Any) -> list[diagnosis.Diagnosis]:
    """Classify a variant whose gauges follow these curves; the memory gauges are flat else."""
    gauges = {**BUILTIN, "entries": Gauge("entries", "entries")}
    curves = {**LEVEL, **{name: curve for name, curve in how.items() if name in gauges}}
    options = {key: value for key, value in how.items() if key not in gauges}
    columns = [made.trace(curve, gauge=name, **options)[name] for name, curve in curves.items()]
    trace = made.trace(made.flat, **options).drop(columns="count")
    return diagnosis.classify(growth.judge(pd.concat([trace, *columns], axis=1), gauges))


KINDS = {
    "objects": {"blocks": made.ramp(3.0), "heap": made.ramp(200.0)},
    "native": {"native": made.ramp(500.0), "heap": made.ramp(500.0)},
    "handles": {"fds": made.ramp(1.0)},
    "kept by the program": {"entries": made.ramp(1.0)},
    "mapped memory": {"rss": made.ramp(16_384.0)},
    "retention": {"rss": made.plateau(30 * MIB, 100)},
    "backlog": {"entries": made.ramp(1.0), "drains": True},
    "cycles": {"entries": made.flat, "waiting": 2.0},
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_told_from_the_others(kind: str) -> None:
    """Of each kind its own sentence comes first, with the gauges it rests on."""
    first = diagnosed(**KINDS[kind])[0]
    assert first.kind == kind
    assert first.evidence


def test_what_is_level_has_no_diagnosis() -> None:
    """Nothing is said where nothing grows."""
    assert diagnosed() == []


def test_resident_memory_that_nothing_accounts_for_is_said_to_be_no_leak() -> None:
    """The sentence has how much it grew, and the smallest leak that was ruled out."""
    (found,) = diagnosed(rss=made.plateau(30 * MIB, 100))
    assert not found.leak
    assert "rss grew by 27 MiB more than the heap" in found.sentence
    assert (
        "nothing leaks: live memory is flat (detection limit of heap 10 B/step)" in found.sentence
    )


def test_a_heap_that_grew_explains_its_resident_memory() -> None:
    """Resident memory that grew no more than the heap did is not called retention."""
    grown = made.plateau(30 * MIB, 100)
    assert diagnosed(rss=grown, heap=grown, native=grown) == []


def test_a_leak_is_told_before_what_is_none() -> None:
    """A leak comes first, what waits for the collector after it."""
    kinds = [one.kind for one in diagnosed(entries=made.ramp(1.0), waiting=2.0)]
    assert kinds == ["kept by the program", "cycles"]


def test_stacks_of_threads_are_not_mapped_memory() -> None:
    """Resident memory that comes with leaking threads is theirs."""
    kinds = [one.kind for one in diagnosed(threads=made.ramp(1.0), rss=made.ramp(16_384.0))]
    assert kinds == ["handles"]
