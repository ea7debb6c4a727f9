"""Growth that is explained by containers that are filling."""

from __future__ import annotations

import pytest

from resleak.analysis.filling import Filling, without_filling
from resleak.analysis.gauge_verdict import GaugeVerdict, by_gauge

CACHE = Filling("cache", 300, 1024, 1.0, entry_bytes=500, entry_objects=0, steps=300)


def leaks(**rates: float) -> list[GaugeVerdict]:
    families = {"heap": "memory", "native": "memory", "blocks": "objects", "objects": "objects"}
    return [
        GaugeVerdict(
            gauge=name, family=families.get(name, "resident"), verdict="leak", per_step=one
        )
        for name, one in rates.items()
    ]


def test_what_explains_the_heap_explains_blocks_objects_and_pages() -> None:
    """None of these is called a leak where the entries of a filling cache take the heap's bytes."""
    found = list(without_filling(leaks(heap=800, blocks=60, objects=20, rss=1300), [CACHE]))
    assert {one.verdict for one in found} == {"inconclusive"}
    assert all(one.reason.startswith("filling: 300 of 1,024 in cache") for one in found)


@pytest.mark.parametrize(
    ("rates", "still"),
    [({"heap": 2000, "blocks": 60, "rss": 2000}, {"heap", "blocks", "rss"}),
     ({"heap": 800, "rss": 4000}, {"rss"}), ({"rss": 4000}, {"rss"})],
)  # fmt: skip
def test_what_is_not_explained_stays_a_leak(rates: dict[str, float], still: set[str]) -> None:
    """More heap than the entries take, or many more pages than heap, is a leak all the same."""
    found = by_gauge(without_filling(leaks(**rates), [CACHE]))
    assert {name for name, one in found.items() if one.is_leak} == still


def test_nothing_is_explained_by_nothing() -> None:
    """Without a filling container a leak stays one."""
    assert all(one.is_leak for one in without_filling(leaks(heap=1, blocks=0.1), []))
