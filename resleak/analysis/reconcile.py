"""The verdicts on several gauges of one variant, reconciled: some count the same memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from resleak.analysis import statistics
from resleak.analysis.gauge_verdict import GaugeVerdict, by_gauge
from resleak.workload.gauges import LIVE_MEMORY
from resleak.workload.verdict_words import CLEAN, UNDECIDED


def reconciled(verdicts: list[GaugeVerdict], alpha: float) -> list[GaugeVerdict]:
    """Return the verdicts without growth that others deny; `alpha` is the level over all gauges."""
    named = by_gauge(verdicts)
    if "heap" in named:
        named["heap"] = _heap_with_parts(named)
    decided = [_resident_with_live(one, named) for one in named.values()]
    adjusted = statistics.holm(np.array([one.p for one in decided])).tolist()
    return [
        replace(one, p=p, verdict=UNDECIDED, reason="not significant among so many gauges")
        if one.is_leak and p >= alpha
        else replace(one, p=p)
        for one, p in zip(decided, adjusted, strict=True)
    ]


def _heap_with_parts(named: dict[str, GaugeVerdict]) -> GaugeVerdict:
    """Withdraw growth of the heap that neither blocks nor native bytes share."""
    # These two count all that can leak. The rest is rounding: up to 32 bytes per live block when
    # the C library reuses larger ones, and the number of live blocks is flat.
    heap = named["heap"]
    parts = {named[name].verdict if name in named else "leak" for name in ("blocks", "native")}
    if "leak" in parts or heap.verdict not in ("leak", UNDECIDED):
        return heap
    if UNDECIDED in parts:
        reason = "grows, but neither blocks nor native bytes certainly do: run more steps"
        return replace(heap, verdict=UNDECIDED, reason=reason)
    reason = "blocks and native bytes do not grow: the allocator's rounding"
    return replace(heap, verdict="plateau", reason=reason)


def _resident_with_live(one: GaugeVerdict, named: dict[str, GaugeVerdict]) -> GaugeVerdict:
    """Decide resident memory as live memory: its freed pages are kept, its growth is the heap's."""
    if one.family != "resident":
        return one
    live, heap = {named[name].verdict for name in LIVE_MEMORY if name in named}, named.get("heap")
    if heap and heap.verdict == UNDECIDED and "leak" not in live:
        if one.is_leak and one.low <= heap.high:
            reason = "grows no more than the heap, which is undecided"
            return replace(one, verdict=UNDECIDED, reason=reason)
    elif live and live <= CLEAN and one.verdict == UNDECIDED and one.runs:
        reason = "live memory does not grow: the allocator keeps freed pages"
        return replace(one, verdict="plateau", reason=reason)
    return one
