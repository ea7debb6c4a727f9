"""Join all evidence of a variant into causes: what leaks, where, why, how badly, what to change."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from resleak.analysis.causes import advice, model
from resleak.analysis.causes.balance import balanced, is_beyond, reconciled
from resleak.analysis.causes.evidence import (
    ARROW,
    NOBODY,
    UNKNOWN,
    Evidence,
    Held,
    Line,
    collect,
    retained,
    sources,
)
from resleak.analysis.causes.grouping import (
    BY_GAUGE,
    RUNNING,
    Group,
    groups,
    is_listed,
    is_of_thread,
)
from resleak.analysis.causes.model import Balanced, Cause, Causes, Explained, Limit, Place
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.analysis.handle_origins import Origin
from resleak.analysis.inspection import Culprits
from resleak.analysis.stacks.site import Site
from resleak.captures.frames import Captures

#: Usual limits of a system, by gauge: name, value, unit.
_LIMITS = {
    "fds": ("RLIMIT_NOFILE", 1024.0, "descriptors"),
    "threads": ("pids.max", 32_768.0, "threads"),
    "children": ("pids.max", 32_768.0, "processes"),
    "zombies": ("pids.max", 32_768.0, "processes"),
    "maps": ("vm.max_map_count", 65_530.0, "maps"),
}
_MEMORY = ("heap", "native", "rss", "uss")
#: The order of the gauges of a cause.
_FIRST = ("zombies", "children", "threads", "tasks", "shm", "sockets", "tempfiles", "fds",
          "heap", "native", "maps", "blocks", "objects", "rss", "uss")  # fmt: skip


def causes_of(
    captures: Captures,
    gauges: Iterable[GaugeVerdict],
    origins: Iterable[Origin],
    sites: Sequence[Site],
    culprits: Culprits,
) -> Causes:
    """Return the causes of what leaks or is freed late in one variant, and the balance."""
    gauges = list(gauges)
    leaks = {one.gauge: one for one in gauges if one.is_leak}
    late = [one for one in gauges if one.is_gc_deferred and not one.is_leak]
    if not leaks and not late:
        return Causes()
    grows = any(one.family in ("memory", "objects", "resident") for one in leaks.values())
    opened = [one for one in origins if one.gauge in leaks]
    kept = [*retained(culprits.retention)]
    lines = collect(captures, opened, sites if grows else (), culprits.retention)
    texts = sources(captures)
    found = groups(lines, kept, texts)
    explained = reconciled(found, leaks)
    memory = float(captures[0].manifest.host.get("memory_bytes") or math.inf)
    causes = [
        _cause(group, [parts[n] for parts in explained.values()], texts, memory)
        for n, group in enumerate(found)
    ]
    balance = {
        name: balanced(leaks[name], [part for part in parts if part], found)
        for name, parts in explained.items()
    }
    causes += [*_unseen(leaks, balance, found, bool(sites))]
    causes += [*_late(late, origins, culprits, texts)]
    return Causes(tuple(sorted(causes, key=_harm)), balance)


def _cause(
    group: Group, parts: Sequence[Explained | None], texts: Mapping[Line, str], memory: float
) -> Cause:
    told = tuple(sorted((part for part in parts if part), key=lambda part: _rank(part.gauge)))
    first = _leading(group)
    site, share = _place(first, texts), _weight(first, group) / (_whole(group) or 1.0)
    kind = group.kind
    kept = [*group.held]
    if kind in RUNNING:  # its own frames keep it, and the interpreter's list of all of its kind
        kept = [one for one in kept if not is_of_thread(one) and not is_listed(one)]
    held = min(kept, key=_directness, default=None)
    chain = held.path if held else ""
    made = _place(Evidence(held.line), texts) if held and held.line else None
    created = made if made and site and (made.file, made.line) != (site.file, site.line) else None
    return Cause(
        id=_fingerprint(kind, site, chain),
        kind=kind,
        gauges=told,
        site=site,
        site_share=min(1.0, share),
        library_site=None if group.gauges else _library(first, texts),
        created_at=created,
        chain=chain,
        retained_type=held.type if held else "",
        limit=_limit(told, memory),
        advice=advice.of(kind, chain, made.text if made else site.text if site else ""),
    )


def _directness(held: Held) -> tuple[bool, int, bool]:
    """Sort the object nearest to a root that names its owner to the front."""
    return held.path.startswith(NOBODY), held.path.count(ARROW), held.line is None


def _leading(group: Group) -> Evidence:
    return max(group.lines, key=lambda one: (bool(one.opened), _weight(one, group)))


def _weight(one: Evidence, group: Group) -> float:
    if group.gauges:
        return max((origin.share for origin in one.opened.values()), default=0.0)
    return one.memory.heap + one.memory.mapped


def _whole(group: Group) -> float:
    return sum(_weight(one, group) for one in group.lines)


def _place(one: Evidence, texts: Mapping[Line, str]) -> Place | None:
    file, line = one.line
    if file.startswith(UNKNOWN):
        return None
    return Place(file, line, one.function, texts.get(one.line, ""))


def _library(one: Evidence, texts: Mapping[Line, str]) -> Place | None:
    site = one.site
    if site is None or not site.leaf_file or (site.leaf_file, site.leaf_line) == one.line:
        return None
    text = texts.get((site.leaf_file, site.leaf_line), "")
    return Place(site.leaf_file, site.leaf_line, site.leaf_function, text)


def _unseen(
    leaks: Mapping[str, GaugeVerdict],
    balance: Mapping[str, Balanced],
    found: Sequence[Group],
    is_profiled: bool,
) -> Iterator[Cause]:
    """Yield a cause without a line for what grows and no instrument saw."""
    heap = leaks.get("heap")
    unseen = heap is not None and is_beyond(heap, balance["heap"].unexplained, found)
    if heap is not None and unseen and is_profiled:
        names = [name for name in ("heap", "native", "rss", "uss") if name in leaks]
        yield _bare(model.NATIVE, [_rest(leaks[name], balance[name]) for name in names])
        return
    explained = {name for name, one in balance.items() if one.explained > 0}
    resident = [name for name in ("uss", "rss") if name in leaks]
    live = {name for name in leaks if leaks[name].family in ("memory", "objects")}
    if resident and not live and not explained:
        yield _bare(model.MAPS, [_rest(leaks[name], balance[name]) for name in resident])
    handles, own = (
        [name for name, one in leaks.items() if one.family == family and name not in explained]
        for family in ("handles", "own")
    )
    if handles:
        kind = next((BY_GAUGE[name] for name in BY_GAUGE if name in handles), model.FILES)
        yield _bare(kind, [_rest(leaks[name], balance[name]) for name in handles])
    if own and not (found or explained or handles):
        yield _bare(model.OWN, [_rest(leaks[name], balance[name]) for name in own])
    if live and not found and not unseen:
        yield _bare(model.OBJECTS, [_rest(leaks[n], balance[n]) for n in sorted(live, key=_rank)])


def _rest(verdict: GaugeVerdict, balance: Balanced) -> Explained:
    share = balance.unexplained / verdict.per_step
    return Explained.part(verdict, share)


def _bare(kind: str, parts: Sequence[Explained]) -> Cause:
    told = tuple(parts)
    return Cause(
        id=_fingerprint(kind, None, ",".join(part.gauge for part in told)),
        kind=kind, gauges=told, site=None, advice=advice.of(kind, ""), limit=_limit(told, math.inf),
    )  # fmt: skip


def _late(
    late: Sequence[GaugeVerdict],
    origins: Iterable[Origin],
    culprits: Culprits,
    texts: Mapping[Line, str],
) -> Iterator[Cause]:
    """Yield the cycles that keep resources until the garbage collector runs."""
    if not late:
        return
    cycle = next(iter(culprits.cycles.to_dict(orient="records")), None)
    chain = str(cycle["cycle"]) if cycle else ""
    first = next((one for one in origins if one.gauge == late[0].gauge and one.file), None)
    site = _place(Evidence((first.file, first.line), first.function), texts) if first else None
    rate = float(cycle["per_step"]) if cycle else math.nan
    parts = tuple(replace(Explained.part(one, 1.0), per_step=rate) for one in late)
    yield Cause(
        id=_fingerprint(model.CYCLES, site, chain), kind=model.CYCLES, gauges=parts, site=site,
        chain=chain, advice=advice.of(model.CYCLES, chain),
    )  # fmt: skip


def _fingerprint(kind: str, site: Place | None, chain: str) -> str:
    where = (site.file, site.function, " ".join(site.text.split())) if site else ("", "", "")
    return hashlib.sha256("|".join((kind, *where, chain)).encode()).hexdigest()[:12]


def _limit(parts: Sequence[Explained], memory: float) -> Limit | None:
    reached = []
    for part in parts:
        limits = {**_LIMITS, **dict.fromkeys(_MEMORY, ("memory of this machine", memory, "B"))}
        name, value, unit = limits.get(part.gauge, ("", math.inf, ""))
        if part.per_step > 0 and math.isfinite(value):
            reached.append(Limit(name, value, unit, value / part.per_step))
    return min(reached, key=lambda one: one.steps, default=None)


def _harm(cause: Cause) -> tuple[float, str]:
    return (cause.limit.steps if cause.limit else math.inf), cause.id


def _rank(gauge: str) -> int:
    return _FIRST.index(gauge) if gauge in _FIRST else len(_FIRST)
