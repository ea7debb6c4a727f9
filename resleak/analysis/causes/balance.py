"""Divide the growth of each gauge among causes, and say what no cause explains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from resleak import formatting
from resleak.analysis.causes.evidence import Memory
from resleak.analysis.causes.grouping import Group
from resleak.analysis.causes.model import FASTER, NOT_INTERCEPTED, Balanced, Explained
from resleak.analysis.gauge_verdict import GaugeVerdict

#: Bytes by which an allocation takes more of the heap than was asked for, at most.
_OVERHEAD = 24.0
#: Most bytes of thread-local storage per thread; the loader allocates it, unseen by memray.
_PER_THREAD = 4096.0
#: Share of the heap from which what memray did not see is more than a difference of runs.
_UNSEEN = 0.2
#: Share of what memray saw from which the causes name all of it.
_NAMED = 0.95
#: Types that the garbage collector does not track.
_UNTRACKED = {"str", "bytes", "bytearray", "int", "float", "complex", "bool", "NoneType"}

_BY_FAMILY: dict[str, Callable[[Group], float]] = {
    "memory": lambda group: group.heap,  # but for native memory, see below
    "resident": lambda group: group.heap + group.mapped,
    "maps": lambda group: group.mapped or float("threads" in group.gauges),
}
_BY_GAUGE: dict[str, Callable[[Group], float]] = {
    "blocks": lambda group: max(
        sum(one.memory.blocks for one in group.lines), sum(h.per_step for h in group.held)
    ),
    "objects": lambda group: sum(h.per_step for h in group.held if h.type not in _UNTRACKED),
}


def balanced(
    verdict: GaugeVerdict,
    parts: Sequence[Explained],
    groups: Sequence[Group],
    profiled: Memory | None,
    *,
    pace: tuple[float, float] | None,
    is_followed: bool,
) -> Balanced:
    """Return the balance of a gauge, with the likely reason of what is unexplained.

    `profiled` is all that memray saw growing, in lines of causes or not; None without it. `pace` is
    the growth of the heap per step over the steps that memray followed, and the last one. Without
    `is_followed` no run recorded which lines open resources.
    """
    explained = sum(part.per_step for part in parts)
    missing = max(0.0, verdict.per_step - explained)
    if verdict.family == "handles" and not is_followed and missing > 0:
        code, reason = "not_profiled", "no run recorded the lines that open it"
    else:
        code, reason = _reason(verdict, missing, groups, profiled, pace)
    return Balanced(verdict.per_step, explained, missing, verdict.unit, code, reason)


def _is_unseen(heap: GaugeVerdict, profiled: Memory, groups: Sequence[Group]) -> bool:
    """Return whether the heap surely grows by more than memray saw, and allocators add to that."""
    missing = heap.per_step - profiled.heap
    added = _OVERHEAD * profiled.pieces + _PER_THREAD * _threads(groups)
    # Both are of different runs: a difference below the detection limit may be noise.
    shows = missing > min(heap.detection_limit, heap.per_step / 2)
    return heap.low - profiled.heap > added and missing > _UNSEEN * heap.per_step and shows


def _threads(groups: Sequence[Group]) -> float:
    opened = [one.opened for group in groups for one in group.lines]
    return sum(origins["threads"].per_step for origins in opened if "threads" in origins)


def _reason(
    verdict: GaugeVerdict,
    missing: float,
    groups: Sequence[Group],
    profiled: Memory | None,
    pace: tuple[float, float] | None,
) -> tuple[str, str]:
    if missing < 0.01 * verdict.per_step:
        return "", ""
    if verdict.family == "own":
        return "own", "the program counts it itself: no instrument sees what it is"
    if verdict.family == "handles":
        return "no_stack", "it was opened without a call that Python sees"
    if verdict.family in ("memory", "objects", "resident") and profiled is None:
        return "not_profiled", "no run recorded the lines that allocate while it grew"
    if verdict.gauge == "heap" and profiled and _is_unseen(verdict, profiled, groups):
        slower = replace(verdict, per_step=pace[0], low=min(verdict.low, pace[0])) if pace else None
        if slower and pace and not _is_unseen(slower, profiled, groups):
            early = formatting.amount(max(0.0, pace[0]), "B")
            upto = f"it grew by {early} per {verdict.per} up to {verdict.per} {pace[1]:,.0f}"
            return FASTER, f"{upto}, where the runs with memray end, and has grown faster since"
        amounts = max(0.0, profiled.heap), verdict.per_step
        seen, whole = (formatting.amount(value, "B") for value in amounts)
        calls = "malloc through ctypes or dlsym, mmap in C"
        saw = f"memray saw {seen} of {whole} per {verdict.per}"
        return NOT_INTERCEPTED, f"{saw}; the rest is allocated by calls it cannot see ({calls})"
    added = _OVERHEAD * sum(one.memory.pieces for group in groups for one in group.lines)
    rounding = "rounding", "allocators round up, and add a header to each block"
    if verdict.family == "memory" and missing <= added + (verdict.high - verdict.low) / 2:
        return rounding
    if verdict.family == "memory" and missing <= added + _PER_THREAD * _threads(groups):
        return "thread_storage", "each thread has thread-local storage, which the loader allocates"
    if verdict.family == "resident" and any("threads" in group.gauges for group in groups):
        return "stacks", "each thread has a stack, which it maps for itself"
    if verdict.family == "resident":
        return "pages", "resident memory comes in pages, and allocators keep what was freed"
    if verdict.family == "memory" and profiled:
        # Where the causes name all that memray saw, no line is left over which it could be spread.
        explained = verdict.per_step - missing
        if explained > _NAMED * profiled.heap:
            return rounding
    return "spread", "it is spread over lines that are too small to name"


def reconciled(
    groups: Sequence[Group], leaks: Mapping[str, GaugeVerdict]
) -> dict[str, list[Explained | None]]:
    """Return, for each growing gauge, what each group explains of it; in sum at most all."""
    shares = {name: _shares(groups, verdict) for name, verdict in leaks.items()}
    if "native" in leaks:
        heap = leaks["heap"].per_step if "heap" in leaks else 0.0
        unseen = max(0.0, heap - sum(share * heap for share in shares.get("heap", ())))
        shares["native"] = _native(groups, leaks["native"].per_step, unseen)
    return {
        name: [Explained.part(leaks[name], share) if share > 0 else None for share in each]
        for name, each in shares.items()
    }


def _shares(groups: Sequence[Group], verdict: GaugeVerdict) -> list[float]:
    name = verdict.gauge
    if verdict.family == "handles":
        opened = [[one.opened for one in group.lines if name in one.opened] for group in groups]
        return [sum(origins[name].share for origins in ones) for ones in opened]
    amount = _BY_GAUGE.get(name) or _BY_FAMILY.get(verdict.family)
    amounts = [max(0.0, amount(group)) if amount else 0.0 for group in groups]
    total = sum(amounts)
    # Maps have no unit in common with what is known: they are explained in proportion.
    growth = total if name == "maps" else verdict.per_step
    return [one / max(growth, total) if total > 0 else 0.0 for one in amounts]


def _native(groups: Sequence[Group], growth: float, unseen: float) -> list[float]:
    """Return each group's share of native memory and large objects, a part of the heap."""
    # A line's blocks are known by their mean size alone: large ones among small ones take what
    # is left, as far as they can.
    sure = [sum(one.memory.large + one.memory.malloc for one in g.lines) for g in groups]
    mixed = [sum(one.memory.small for one in g.lines) for g in groups]
    left = min(max(0.0, growth - sum(sure) - unseen), sum(mixed))
    amounts = [a + left * b / (sum(mixed) or 1.0) for a, b in zip(sure, mixed, strict=True)]
    return [amount / max(growth, sum(amounts)) for amount in amounts]
