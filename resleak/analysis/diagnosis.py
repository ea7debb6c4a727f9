"""Diagnose the kind of growth of a variant, by which numbers, and where to look next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from resleak import formatting as fmt
from resleak.analysis import wording
from resleak.analysis.gauge_verdict import GaugeVerdict, by_gauge
from resleak.analysis.rows import plain
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
    """One kind of growth that a variant shows.

    Attributes
    ----------
    kind : str
        ``objects``, ``native``, ``handles``, ``kept by the program``, ``cycles``, ``backlog``,
        ``mapped memory`` or ``retention``.
    leak : bool
        False for retention, cycles and a backlog.
    evidence : tuple of str
        The gauges it rests on.
    sentence : str
        The finding, with its numbers.
    look : str
        What to look at next.
    """

    kind: str
    leak: bool
    evidence: tuple[str, ...]
    sentence: str
    look: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return dict(plain(self))

    def __str__(self) -> str:
        return f"{self.sentence}. Look at {self.look}."


Verdicts = dict[str, GaugeVerdict]
Found = Iterator[Diagnosis]


def classify(gauges: Iterable[GaugeVerdict]) -> list[Diagnosis]:
    """Return the kinds of growth of one variant, leaks first.

    glibc manual, `mallinfo2` and `malloc_trim`, on memory that was freed and is kept. memray's
    issue 565, on resident memory that grows while no allocation does.
    """
    verdicts = by_gauge(gauges)
    rules = (_objects, _native, _handles, _own, _mapped, _cycles, _backlog, _retention)
    diagnoses = [one for rule in rules for one in rule(verdicts)]
    return sorted(diagnoses, key=lambda one: not one.leak)


def _diagnosis(kind: str, evidence: Iterable[str], sentence: str, leak: bool = True) -> Diagnosis:
    return Diagnosis(kind, leak, tuple(evidence), sentence, _NEXT[kind])


def _leaking(verdicts: Verdicts, is_meant: Callable[[GaugeVerdict], bool]) -> list[str]:
    return [name for name, one in verdicts.items() if one.is_leak and is_meant(one)]


def _rates(verdicts: Verdicts, names: Iterable[str]) -> str:
    return ", ".join(f"{name} {wording.rate(verdicts[name])}" for name in names)


def _objects(verdicts: Verdicts) -> Found:
    counted = _leaking(verdicts, lambda one: one.family == "objects")
    if counted:
        names = counted + _leaking(verdicts, lambda one: one.gauge == "heap")
        yield _diagnosis("objects", names, f"Python objects stay: {_rates(verdicts, names)}")


def _native(verdicts: Verdicts) -> Found:
    blocks = verdicts["blocks"].verdict if "blocks" in verdicts else None
    names = _leaking(verdicts, lambda one: one.family == "memory")
    memory = _rates(verdicts, names)
    if "native" in names and blocks in CLEAN:
        objects = f"no Python object comes with it, or one larger than 512 B (blocks {blocks})"
        yield _diagnosis("native", names, f"native memory stays: {memory}; {objects}")
    elif names and blocks is None:
        yield _diagnosis("native", names, f"memory stays: {memory}; its blocks were not counted")


def _handles(verdicts: Verdicts) -> Found:
    names = _leaking(verdicts, lambda one: one.family == "handles")
    if names:
        yield _diagnosis("handles", names, f"resources stay open: {_rates(verdicts, names)}")


def _own(verdicts: Verdicts) -> Found:
    names = _leaking(verdicts, lambda one: one.family == "own")
    if names:
        rates = _rates(verdicts, names)
        yield _diagnosis("kept by the program", names, f"the program keeps more: {rates}")


def _cycles(verdicts: Verdicts) -> Found:
    # No gauge of memory is judged to be deferred: many objects that fall at each collection count.
    names = [
        name
        for name, one in verdicts.items()
        if one.is_gc_deferred
        or (one.family == "memory" and one.held_between_collections > BUILTIN["heap"].rise)
    ]
    if names:
        amounts = ", ".join(
            f"{fmt.amount(verdicts[name].held_between_collections, verdicts[name].unit)} of {name}"
            for name in names
        )
        sentence = f"freed only by the garbage collector: {amounts} at a time"
        yield _diagnosis("cycles", names, sentence, leak=False)


def _backlog(verdicts: Verdicts) -> Found:
    names = [
        name
        for name, one in verdicts.items()
        if one.verdict == "deferred" and not one.is_gc_deferred
    ]
    if names:
        rates = _rates(verdicts, names)
        sentence = f"a backlog that drains when the load stops: {rates} until then"
        yield _diagnosis("backlog", names, sentence, leak=False)


def _live(verdicts: Verdicts) -> GaugeVerdict | None:
    """Return the gauge of live memory that counts most."""
    return verdicts.get("heap") or verdicts.get("native")


def _mapped(verdicts: Verdicts) -> Found:
    """Diagnose resident memory that grows beyond the heap; threads explain it by their stacks."""
    live, threads = _live(verdicts), verdicts.get("threads")
    if live is None or (threads and threads.is_leak):
        return
    beyond = 2 * max(0.0, live.high) + BUILTIN["rss"].floor
    names = _leaking(verdicts, lambda one: one.family == "resident" and one.low > beyond)
    if names:
        names.append(live.gauge)
        rates = _rates(verdicts, names)
        sentence = f"memory stays that the heap does not account for: {rates}"
        yield _diagnosis("mapped memory", names, sentence)


def _retention(verdicts: Verdicts) -> Found:
    known = [name for name in LIVE_MEMORY if name in verdicts]
    live = _live(verdicts)
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
