"""The verdicts on several gauges of one variant, reconciled: some count the same memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from resleak.analysis import statistics
from resleak.analysis.gauge_verdict import GaugeVerdict, by_gauge
from resleak.workload.gauges import LIVE_MEMORY
from resleak.workload.verdict_words import CLEAN, UNDECIDED, Verdict


def reconciled(verdicts: list[GaugeVerdict], alpha: float) -> list[GaugeVerdict]:
    """Return the verdicts without growth that others deny; `alpha` is the level over all gauges."""
    return _corrected(_resident_with_live(_heap_with_parts(verdicts)), alpha)


def _heap_with_parts(verdicts: list[GaugeVerdict]) -> list[GaugeVerdict]:
    """Withdraw growth of the heap that neither blocks nor native bytes share."""
    # These two count all that can leak. The rest is rounding: up to 32 bytes per live block when
    # the C library reuses larger ones, and the number of live blocks is flat.
    words = {one.gauge: one.verdict for one in verdicts}
    parts = {words.get("blocks", "leak"), words.get("native", "leak")}
    if "leak" in parts or words.get("heap") not in ("leak", UNDECIDED):
        return verdicts
    if UNDECIDED in parts:
        verdict: Verdict = UNDECIDED
        reason = "grows, but neither blocks nor native bytes certainly do: run more steps"
    else:
        verdict, reason = "plateau", "blocks and native bytes do not grow: the allocator's rounding"
    return [
        replace(one, verdict=verdict, reason=reason) if one.gauge == "heap" else one
        for one in verdicts
    ]


def _resident_with_live(verdicts: list[GaugeVerdict]) -> list[GaugeVerdict]:
    """Decide resident memory as live memory: its freed pages are kept, its growth is the heap's."""
    named = by_gauge(verdicts)
    live, heap = {named[name].verdict for name in LIVE_MEMORY if name in named}, named.get("heap")
    if heap and heap.verdict == UNDECIDED and "leak" not in live:
        reason = "grows no more than the heap, which is undecided"
        return [
            replace(one, verdict=UNDECIDED, reason=reason)
            if one.family == "resident" and one.is_leak and one.low <= heap.high
            else one
            for one in verdicts
        ]
    if not live or live - CLEAN:
        return verdicts
    reason = "live memory does not grow: the allocator keeps freed pages"
    return [
        replace(one, verdict="plateau", reason=reason)
        if one.family == "resident" and one.verdict == UNDECIDED and one.runs
        else one
        for one in verdicts
    ]


def _corrected(verdicts: list[GaugeVerdict], alpha: float) -> list[GaugeVerdict]:
    """Withdraw leaks that are not significant given the number of gauges (Holm)."""
    adjusted = statistics.holm(np.array([one.p for one in verdicts])).tolist()
    return [
        replace(one, p=p, verdict=UNDECIDED, reason="not significant among so many gauges")
        if one.is_leak and p >= alpha
        else replace(one, p=p)
        for one, p in zip(verdicts, adjusted, strict=True)
    ]
