"""Diagnose the kind of growth of a variant, by which numbers, and where to look next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from resleak import formatting as fmt
from resleak.analysis import wording
from resleak.analysis.gauge_verdict import GaugeVerdict, by_gauge
from resleak.workload.gauges import BUILTIN, LIVE_MEMORY
from resleak.workload.verdict_words import CLEAN

_NEXT = {
    "objects": "the lines that grow, in a run under memray, and the references to what they made",
    "native": "the native calls among the lines that grow, and what must be freed by hand",
    "handles": "the calls that open them, and the paths on which nothing closes them",
    "kept by the program": "the code that adds entries, and the code that should remove them",
    "cycles": "reference cycles; break them, or close what they hold explicitly",
    "backlog": "the bound of the queue: work arrives faster than it is done",
    "mapped memory": "memory maps, allocators of libraries, and areas pinned by small blocks",
    "retention": "the largest step: use smaller blocks, or malloc_trim, or MALLOC_ARENA_MAX",
}


@dataclass(frozen=True)
class Diagnosis:
    """One kind of growth, the gauges it rests on, and what to look at next."""

    kind: str
    leak: bool
    evidence: tuple[str, ...]
    sentence: str
    look: str

    def __str__(self) -> str:
        return f"{self.sentence}. Look at {self.look}."


Verdicts = dict[str, GaugeVerdict]


def classify(gauges: Iterable[GaugeVerdict]) -> list[Diagnosis]:
    """Return the kinds of growth of one variant, leaks first."""
    verdicts = by_gauge(gauges)
    return [*_leaks(verdicts), *_others(verdicts)]


def _diagnosis(kind: str, evidence: Iterable[str], sentence: str, leak: bool = True) -> Diagnosis:
    return Diagnosis(kind, leak, tuple(evidence), sentence, _NEXT[kind])


def _rates(verdicts: Verdicts, names: Iterable[str]) -> str:
    return ", ".join(f"{name} {wording.rate(verdicts[name])}" for name in names)


def _leaks(verdicts: Verdicts) -> Iterator[Diagnosis]:
    by_family: dict[str, list[str]] = defaultdict(list)
    for name, verdict in verdicts.items():
        if verdict.is_leak:
            by_family[verdict.family].append(name)
    memory = by_family["memory"]
    if names := by_family["objects"]:
        names = names + [name for name in memory if name == "heap"]
        yield _diagnosis("objects", names, f"Python objects stay: {_rates(verdicts, names)}")
    blocks = verdicts["blocks"].verdict if "blocks" in verdicts else None
    if "native" in memory and blocks in CLEAN:
        objects = f"no Python object comes with it, or one larger than 512 B (blocks {blocks})"
        stays = f"native memory stays: {_rates(verdicts, memory)}; {objects}"
        yield _diagnosis("native", memory, stays)
    elif memory and blocks is None:
        stays = f"memory stays: {_rates(verdicts, memory)}; its blocks were not counted"
        yield _diagnosis("native", memory, stays)
    if names := by_family["handles"]:
        yield _diagnosis("handles", names, f"resources stay open: {_rates(verdicts, names)}")
    if names := by_family["own"]:
        rates = _rates(verdicts, names)
        yield _diagnosis("kept by the program", names, f"the program keeps more: {rates}")
    # Resident memory that grows beyond the heap, as in memray's issue 565.
    live, threads = verdicts.get("heap") or verdicts.get("native"), verdicts.get("threads")
    if live is not None and not (threads and threads.is_leak):  # threads have stacks
        beyond = 2 * max(0.0, live.high) + BUILTIN["rss"].floor
        if names := [name for name in by_family["resident"] if verdicts[name].low > beyond]:
            names.append(live.gauge)
            stays = "memory stays that the heap does not account for"
            yield _diagnosis("mapped memory", names, f"{stays}: {_rates(verdicts, names)}")


def _others(verdicts: Verdicts) -> Iterator[Diagnosis]:
    # No gauge of memory is judged to be deferred: many objects that fall at each collection count.
    amounts = {
        name: fmt.amount(one.held_between_collections, one.unit)
        for name, one in verdicts.items()
        if one.is_gc_deferred
        or (one.family == "memory" and one.held_between_collections > BUILTIN["heap"].rise)
    }
    if amounts:
        listed = ", ".join(f"{amount} of {name}" for name, amount in amounts.items())
        sentence = f"freed only by the garbage collector: {listed} at a time"
        yield _diagnosis("cycles", amounts, sentence, leak=False)
    deferred = [one for one in verdicts.values() if one.verdict == "deferred"]
    if draining := [one.gauge for one in deferred if not one.is_gc_deferred]:
        rates = _rates(verdicts, draining)
        sentence = f"a backlog that drains when the load stops: {rates} until then"
        yield _diagnosis("backlog", draining, sentence, leak=False)
    # Freed memory that the C library keeps: see `malloc_trim` in glibc's manual.
    known = [name for name in LIVE_MEMORY if name in verdicts]
    live = verdicts.get("heap") or verdicts.get("native")
    if live is None or any(verdicts[name].verdict not in CLEAN for name in known):
        return
    # USS first: it leaves out what is shared with other processes.
    for one in (verdicts[name] for name in ("uss", "rss") if name in verdicts):
        more = (one.peak - one.start) - (live.peak - live.start)
        if not one.is_leak and more > BUILTIN[one.gauge].rise:
            limit = f"detection limit of {live.gauge} {wording.detection_limit(live)}"
            grew = f"{one.gauge} grew by {fmt.amount(more, 'B')} more than the heap"
            sentence = f"{grew}, but nothing leaks: live memory is flat ({limit})"
            yield _diagnosis("retention", [one.gauge, *known], sentence, leak=False)
            return
