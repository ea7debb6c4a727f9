"""Causes in words: the same rows for the terminal, reports, notebooks, tests and Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from resleak import formatting
from resleak.analysis.causes import model
from resleak.analysis.causes.model import Cause, Causes, Explained, Place
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.workload.verdict_words import CLEAN, ORDER, UNDECIDED

#: The label of the place of each kind of cause.
_VERBS = {
    **dict.fromkeys((model.FILES, model.SOCKETS, model.TEMPORARY), "opened at"),
    **dict.fromkeys((model.THREADS, model.CHILDREN, model.ZOMBIES), "started at"),
    **dict.fromkeys((model.TASKS, model.SHM, model.CYCLES), "created at"),
    model.MAPS: "mapped at",
}
#: What is said of a place that is not known, by kind.
_NOWHERE = {
    model.NATIVE: "a call that no instrument sees (malloc through ctypes or dlsym, mmap in C)",
    model.OBJECTS: "not known",
    model.CYCLES: "not known",
    model.RESIDENT: "not known",
}
#: Gauges that count what a kind is called by, and so need no unit.
_COUNTED = {kind: gauge for gauge, kind in model.BY_GAUGE.items()} | {model.MAPS: "maps"}
#: Gauges of memory, the one to quote first in front.
_MEMORY = ("heap", "native", "uss", "rss")
_OTHERS = ("native", "uss", "rss", "blocks", "objects")
#: Most steps to a limit that are worth telling.
_FAR = 1_000_000
#: Share from which what is left unexplained needs no reason.
_MOST = 0.9


class Row(NamedTuple):
    """One line of a card: what it tells, the text, and the source text of a place."""

    label: str
    text: str
    source: str = ""


def headline(cause: Cause) -> str:
    """Write kind and rate, such as ``file descriptors  0.5 per step [0.5, 0.5]``."""
    if cause.kind == model.CYCLES:
        pace = cause.gauges[0].per_step
        often = f"{formatting.number(pace)} per step, " if math.isfinite(pace) else ""
        names = ", ".join(part.gauge for part in cause.gauges)
        return f"{cause.kind}   {often}{names} freed only by the garbage collector"
    first, memory = main(cause), _memory(cause)
    if first.gauge in _COUNTED.values():
        rate = f"{formatting.number(first.per_step)} per {first.per}"
    else:
        rate = formatting.rate(first.per_step, first.unit, first.per).replace("/", " per ")
    plus = ""
    if memory is not None and memory is not first:
        plus = f", plus {formatting.amount(memory.per_step, 'B')} per {memory.per}"
    low, high = (
        formatting.amount(end, "B" if first.unit == "B" else "") for end in (first.low, first.high)
    )
    return f"{cause.kind}   {rate} [{low}, {high}]{plus}"


def main(cause: Cause) -> Explained:
    """Return the part of the gauge that a cause is about."""
    counted = (part for part in cause.gauges if part.gauge == _COUNTED.get(cause.kind))
    return next(counted, None) or _memory(cause) or cause.gauges[0]


def _memory(cause: Cause) -> Explained | None:
    order = ("rss", "uss", "heap") if cause.kind == model.MAPS else _MEMORY
    by_name = {part.gauge: part for part in cause.gauges}
    return next((by_name[name] for name in order if name in by_name), None)


def rows(cause: Cause) -> Iterator[Row]:
    """Yield where it is made, what keeps it, the limit that it reaches, and what to change."""
    if cause.site:
        of, share = "", cause.site_share
        if share is not None and (cause.parts or share < 0.5):
            of = f" ({formatting.share(share)} of it)"
        yield _at(_VERBS.get(cause.kind, "allocated at"), cause.site, of)
    elif cause.kind != model.OWN:
        nowhere = _NOWHERE.get(cause.kind, "a call that Python does not see")
        is_bare = cause.advice.code == model.REPEAT
        yield Row("made at", "not recorded: only numbers were sampled" if is_bare else nowhere)
    if cause.library_site:
        yield _at("inside", cause.library_site)
    for part in cause.parts:
        yield _at("and at", part.place, f" ({formatting.share(part.share)})")
    if cause.created_at and cause.created_at not in [part.place for part in cause.parts]:
        yield _at("object from", cause.created_at)
    if cause.chain:
        label = "cycle" if cause.kind == model.CYCLES else "kept by"
        yield Row(label, cause.chain)
    if cause.limit and cause.limit.steps < _FAR:
        amount = formatting.amount(cause.limit.value, "B" if cause.limit.unit == "B" else "")
        per = main(cause).per
        after = f"after about {formatting.number(cause.limit.steps)} {formatting.several(per)}"
        if per == "s":
            after = f"in about {formatting.duration(cause.limit.steps)}"
        yield Row("limit", f"{cause.limit.name} {amount} {after}")
    yield Row("fix", cause.advice.text)


def _at(label: str, place: Place, more: str = "") -> Row:
    return Row(label, f"{place}{more}", place.text)


def aligned(told: Iterable[Sequence[str]]) -> list[str]:
    """Return rows of label, text and source as lines of plain text, in columns."""
    told = [*told]
    wide = max((len(text) for _, text, source in told if source), default=0)
    return [f"   {label:<13}{text:<{wide}}  {source}".rstrip() for label, text, source in told]


def short(cause: Cause) -> str:
    """Write a cause in a few words: what, how fast, where."""
    where = f", {_VERBS.get(cause.kind, 'allocated at')} {cause.site}" if cause.site else ""
    return f"{' '.join(headline(cause).split())}{where}"


def numbered(causes: Causes) -> list[str]:
    """Return all cards in plain text, numbered, an empty line after each."""
    lines = []
    for number, cause in enumerate(causes.causes, 1):
        lines += [f"{number}  {headline(cause)}", *aligned(rows(cause)), ""]
    return lines


def accounts(causes: Causes, verbose: bool = False) -> Iterator[str]:
    """Yield how much of each growing gauge is explained, and what no instrument saw.

    Unless `verbose`, the heap speaks for all other gauges of memory.
    """
    told = {n: one for n, one in causes.balance.items() if verbose or one.code != "own"}
    if "heap" in told and not verbose:
        told = {name: one for name, one in told.items() if name not in _OTHERS}
    shares = [f"{formatting.share(one.share)} of {name}" for name, one in told.items()]
    if shares:
        yield f"explained: {', '.join(shares)}"
    per = next((part.per for cause in causes.causes for part in cause.gauges), "step")
    for name, one in causes.balance.items():
        if one.code == model.NOT_INTERCEPTED:
            yield f"{name}: {one.reason}."
        elif name in told and one.share < _MOST and one.reason:
            part = formatting.amount(one.unexplained, "B" if one.unit == "B" else "")
            yield f"{name}: {part} per {per} unexplained: {one.reason}."


def quiet(gauges: Iterable[GaugeVerdict], *, with_undecided: bool = False) -> str:
    """Name the gauges that show nothing, by verdict; with those that are undecided, if wanted."""
    told, wanted = list(gauges), CLEAN | ({UNDECIDED} if with_undecided else set())
    names = {w: [one.gauge for one in told if one.verdict == w] for w in ORDER if w in wanted}
    return " · ".join(f"{word}: {', '.join(each)}" for word, each in names.items() if each)
