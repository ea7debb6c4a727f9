"""Causes in words: the same rows for the terminal, reports, notebooks, tests and Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

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
#: Gauges that count what a kind is called by, and so need no unit.
_COUNTED = {
    **{model.FILES: "fds", model.SOCKETS: "sockets", model.THREADS: "threads"},
    **{model.TASKS: "tasks", model.CHILDREN: "children", model.ZOMBIES: "zombies"},
    **{model.SHM: "shm", model.TEMPORARY: "tempfiles", model.MAPS: "maps"},
}
#: Gauges of memory, the one to quote first in front.
_MEMORY = ("heap", "native", "uss", "rss")
_OTHERS = ("native", "uss", "rss", "blocks", "objects")
#: Most steps to a limit that are worth telling.
_FAR = 1_000_000
_HALF = 0.5


@dataclass(frozen=True)
class Row:
    """One line of a card: what it tells, the text, and the source text of a place."""

    label: str
    text: str
    source: str = ""
    place: Place | None = None


def headline(cause: Cause) -> str:
    """Write kind and rate, such as ``file descriptors  0.5 per step [0.5, 0.5]``."""
    by_name = {part.gauge: part for part in cause.gauges}
    if cause.kind == model.CYCLES:
        pace = cause.gauges[0].per_step
        often = f"{formatting.number(pace)} per step, " if math.isfinite(pace) else ""
        names = ", ".join(part.gauge for part in cause.gauges)
        return f"{cause.kind}   {often}{names} freed only by the garbage collector"
    order = ("rss", "uss", "heap") if cause.kind == model.MAPS else _MEMORY
    memory = next((by_name[name] for name in order if name in by_name), None)
    main = by_name.get(_COUNTED.get(cause.kind, "")) or memory or cause.gauges[0]
    if main.gauge in _COUNTED.values():
        rate = f"{formatting.number(main.per_step)} per {main.per}"
    else:
        rate = formatting.rate(main.per_step, main.unit, main.per).replace("/", " per ")
    more = memory if memory is not None and memory is not main else None
    plus = f", plus {formatting.amount(more.per_step, 'B')} per {more.per}" if more else ""
    return f"{cause.kind}   {rate} {_interval(main)}{plus}"


def _interval(part: Explained) -> str:
    unit = part.unit if part.unit == "B" else ""
    return f"[{formatting.amount(part.low, unit)}, {formatting.amount(part.high, unit)}]"


def rows(cause: Cause) -> Iterator[Row]:
    """Yield where it is made, what keeps it, the limit that it reaches, and what to change."""
    if cause.site:
        share = formatting.share(cause.site_share)
        of = f" ({share} of it)" if cause.site_share < _HALF else ""
        yield _at(_VERBS.get(cause.kind, "allocated at"), cause.site, of)
    else:
        calls = " (malloc through ctypes or dlsym, mmap in C)" if cause.kind == model.NATIVE else ""
        yield Row("made at", f"a call that no instrument sees{calls}")
    if cause.library_site:
        yield _at("inside", cause.library_site)
    if cause.created_at:
        yield _at("object from", cause.created_at)
    if cause.chain:
        label = "cycle" if cause.kind == model.CYCLES else "kept by"
        yield Row(label, cause.chain)
    if cause.limit and cause.limit.steps < _FAR:
        amount = formatting.amount(cause.limit.value, "B" if cause.limit.unit == "B" else "")
        after = f"after about {formatting.amount(cause.limit.steps)} steps"
        yield Row("limit", f"{cause.limit.name} {amount} {after}")
    yield Row("fix", cause.advice.text)


def _at(label: str, place: Place, more: str = "") -> Row:
    return Row(label, f"{place}{more}", place.text, place)


def card(cause: Cause) -> list[str]:
    """Return the lines of a card in plain text, below its headline."""
    told = [*rows(cause)]
    wide = max((len(row.text) for row in told if row.source), default=0)
    lines = [f"{row.label:<13}{row.text:<{wide}}  {row.source}".rstrip() for row in told]
    return [headline(cause), *lines]


def short(cause: Cause) -> str:
    """Write a cause in a few words: what, how fast, where."""
    where = f", {_VERBS.get(cause.kind, 'allocated at')} {cause.site}" if cause.site else ""
    return f"{' '.join(headline(cause).split())}{where}"


def numbered(causes: Causes) -> list[str]:
    """Return all cards in plain text, numbered, an empty line after each."""
    lines = []
    for number, cause in enumerate(causes.causes, 1):
        first, *rest = card(cause)
        lines += [f"{number}  {first}", *(f"   {line}" for line in rest), ""]
    return lines


def accounts(causes: Causes, verbose: bool = False) -> Iterator[str]:
    """Yield how much of each growing gauge is explained, and what no instrument saw.

    Unless `verbose`, the heap speaks for all other gauges of memory.
    """
    told = dict(causes.balance)
    if "heap" in told and not verbose:
        told = {name: one for name, one in told.items() if name not in _OTHERS}
    shares = [f"{formatting.share(one.share)} of {name}" for name, one in told.items()]
    if shares:
        yield f"explained: {', '.join(shares)}"
    for name, one in causes.balance.items():
        if one.code == "not_intercepted":
            yield f"{name}: {one.reason}."


def quiet(gauges: Iterable[GaugeVerdict], *, with_undecided: bool = False) -> str:
    """Name the gauges that show nothing, by verdict; with those that are undecided, if wanted."""
    told, wanted = list(gauges), CLEAN | ({UNDECIDED} if with_undecided else set())
    parts = []
    for word in (word for word in ORDER if word in wanted):
        names = [one.gauge for one in told if one.verdict == word]
        parts += [f"{word}: {', '.join(names)}"] if names else []
    return " · ".join(parts)
