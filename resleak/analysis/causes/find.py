"""Join all evidence of a variant into causes: what leaks, where, why, how badly, what to change."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from resleak.analysis.causes import evidence, model
from resleak.analysis.causes.balance import balanced, reconciled
from resleak.analysis.causes.evidence import UNKNOWN, Evidence, Held, Line, Memory
from resleak.analysis.causes.grouping import RUNNING, Group, groups, is_bare
from resleak.analysis.causes.model import Balanced, Cause, Causes, Explained, Limit, Part, Place
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.analysis.handle_origins import Origin
from resleak.analysis.inspection import Culprits
from resleak.analysis.stacks.site import Site
from resleak.captures.frames import Captures

#: Limits by gauge, as a manifest names them, and their unit.
_TASKS = ("pids.max", "pid_max")
_MEMORY = ("memory.max", "memory.limit_in_bytes", "memory_bytes")
_LIMITS = {
    "fds": (("RLIMIT_NOFILE",), "descriptors"),
    "threads": (_TASKS, "threads"),
    **dict.fromkeys(("children", "zombies"), (_TASKS, "processes")),
    "maps": (("max_map_count",), "maps"),
    **dict.fromkeys(("heap", "native", "rss", "uss"), (_MEMORY, "B")),
}
#: What is no name of the system's.
_CALLED = {"memory_bytes": "memory of this machine"}
#: Share of each gauge's growth below which lines that make nothing else are no cause; objects, of
#: which a list of what leaks is one, count for less than bytes, and so do lines without an owner.
_LEAST_SHARE, _LEAST, _LEAST_ALONE = 0.02, {"blocks": 0.05, "objects": 0.05}, 0.05
#: Most lines besides the first that a cause names, and the share of it from which one is named.
_PARTS, _LEAST_PART = 3, 0.05
#: Difference of two rates, as a share of the larger, up to which one call may open both.
_SAME_RATE = 0.05
#: The order of the gauges of a cause.
_FIRST = ("zombies", "children", "threads", "tasks", "shm", "sockets", "tempfiles", "fds",
          "heap", "native", "maps", "blocks", "objects", "rss", "uss")  # fmt: skip


def causes_of(
    captures: Captures,
    gauges: Iterable[GaugeVerdict],
    origins: Iterable[Origin],
    sites: Sequence[Site],
    culprits: Culprits,
    texts: Mapping[Line, str],
) -> Causes:
    """Return the causes of what leaks or is freed late in one variant, and the balance."""
    gauges = list(gauges)
    leaks = {one.gauge: one for one in gauges if one.is_leak}
    late = [one for one in gauges if one.is_gc_deferred and not one.is_leak]
    if not leaks and not late:
        return Causes()
    grows = any(one.family in ("memory", "objects", "resident") for one in leaks.values())
    opened = [*_in_step([one for one in origins if one.gauge in leaks], leaks)]
    grown = leaks.get("heap") or next(iter(leaks.values()), None)
    since = grown.since if grown else 0.0
    pace = evidence.pace(captures, "heap", since) if "heap" in leaks else None
    # Faster growth that ended before that of `since` began was that of something else.
    was_other = grown is None or pace is None or pace[0] > grown.high
    ended = {one.instrument for one in captures if was_other and one.manifest.last_step <= since}
    kept = [] if "forensics" in ended else [*evidence.retained(culprits.retention)]
    amounts = {} if "memray" in ended else evidence.allocated(captures, since)
    sites = () if "memray" in ended else sites
    seen = evidence.total(amounts.values()) if amounts else None
    lines = evidence.collect(amounts, opened, _growing(sites, leaks.get("heap")), kept, grows=grows)
    found = groups(lines, kept, texts, amounts.get(evidence.OURS, Memory()))
    shares = [*zip(*reconciled(found, leaks).values(), strict=True)]
    found = [
        group
        for group, parts in zip(found, shares, strict=True)
        if any(part.share >= _least(part.gauge, group) for part in parts if part)
    ]
    explained = reconciled(found, leaks)
    shares = [*zip(*explained.values(), strict=True)]
    causes = [_cause(group, parts, texts) for group, parts in zip(found, shares, strict=True)]
    instruments = {one.instrument for one in captures}
    is_followed = "handles" in instruments
    balance = {
        name: balanced(
            leaks[name], [p for p in parts if p], found, seen, pace=pace, is_followed=is_followed
        )
        for name, parts in explained.items()
    }
    # What is mapped is known only where the heap was read, too, and did not grow.
    kind = model.MAPS if any(one.gauge == "heap" for one in gauges) else model.RESIDENT
    unseen = [*_unseen(leaks, balance, bool(found), kind)]
    if instruments == {"gauges"}:
        unseen = [one if one.kind == model.OWN else _to_repeat(one) for one in unseen]
    causes = _with_addresses(causes, unseen)
    manifest = captures[0].manifest
    limits = {name: value for name, value in manifest.host.items() if isinstance(value, int)}
    limits |= manifest.scenario.rlimits
    causes = [replace(one, limit=_limit(one.gauges, leaks, limits)) for one in causes]
    causes += [_late(late, origins, culprits, texts)] if late else []
    return Causes(tuple(sorted(causes, key=_nearness)), balance)


def _nearness(cause: Cause) -> tuple[bool, float, str]:
    """Sort the nearest limit first, and resources of unknown limit before the whole machine's."""
    steps = cause.limit.steps if cause.limit else math.inf
    is_counted = cause.kind in model.BY_GAUGE.values()
    is_shared = cause.limit.name == _CALLED["memory_bytes"] if cause.limit else not is_counted
    return is_shared, steps, cause.id


def _to_repeat(cause: Cause) -> Cause:
    """Return a cause of which only numbers are known, with the advice to record its lines."""
    text = "Numbers alone show no line: repeat the work as a step (resleak init, investigate)."
    what = f"{cause.advice.text} " if cause.kind in model.BY_GAUGE.values() else ""
    return replace(cause, advice=model.Advice(model.REPEAT, what + text))


def _least(gauge: str, group: Group) -> float:
    has_owner = group.held or group.gauges
    return _LEAST.get(gauge, _LEAST_SHARE if has_owner else _LEAST_ALONE)


def _cause(group: Group, parts: Sequence[Explained | None], texts: Mapping[Line, str]) -> Cause:
    told = tuple(sorted((part for part in parts if part), key=lambda part: _rank(part.gauge)))
    first, *others = sorted(group.lines, key=lambda one: _leads(one, group), reverse=True)
    whole = sum(_weight(one, group) for one in group.lines) or 1.0
    site, weight = _place(texts, first.line, first.function), _weight(first, group)
    kind = group.kind
    kept = [*group.held]
    if kind in RUNNING:  # its own frames keep it, and the interpreter's list of all of its kind
        kept = [one for one in kept if not is_bare(one)]
    held = min(kept, key=_directness, default=None)
    chain = held.path if held else ""
    made = _place(texts, held.line) if held and held.line else None
    created = made if made and site and (made.file, made.line) != (site.file, site.line) else None
    return Cause(
        id=_fingerprint(kind, site, chain),
        kind=kind,
        gauges=told,
        site=site,
        site_share=min(1.0, weight / whole) if weight else None,
        parts=tuple(
            Part(place, _weight(one, group) / whole)
            for one in others[:_PARTS]
            if _weight(one, group) > _LEAST_PART * whole
            if (place := _place(texts, one.line, one.function))
        ),
        library_site=None if group.gauges else _library(first, texts),
        created_at=created,
        chain=chain,
        retained_type=held.type if held else "",
        advice=model.Advice.of(kind, chain, made.text if made else site.text if site else ""),
    )


def _with_addresses(causes: Sequence[Cause], unseen: Sequence[Cause]) -> list[Cause]:
    """Join memory that no instrument saw with the integers that a line keeps: its addresses."""
    kept = [one for one in causes if one.retained_type == "int"]
    if not (len(kept) == len(unseen) == 1 and unseen[0].kind == model.NATIVE):
        return [*causes, *unseen]
    (address,), (native,) = kept, unseen
    before = {part.gauge: part for part in address.gauges}
    parts = [part + before.pop(part.gauge, None) for part in native.gauges]
    joined = replace(
        native, gauges=(*parts, *before.values()), created_at=address.site, chain=address.chain,
        retained_type=address.retained_type,
    )  # fmt: skip
    return [*(one for one in causes if one is not address), joined]


def _in_step(opened: Sequence[Origin], leaks: Mapping[str, GaugeVerdict]) -> Iterator[Origin]:
    """Yield origins, and for what no call opened that of the only resource of the same rate."""
    placed = [one for one in opened if one.file]
    for one in opened:
        # A library opens more than one file for each call.
        others = [other for other in placed if other.gauge == one.gauge]
        near = [o for o in others if math.isclose(o.per_step, one.per_step, rel_tol=_SAME_RATE)]
        yield one if one.file else _beside(near, one.gauge, one.per_step, one.share) or one
    for name, leak in leaks.items():
        if leak.family == "handles" and all(one.gauge != name for one in opened):
            rates = {one.gauge: leaks[one.gauge] for one in placed}
            same = [g for g, r in rates.items() if r.low <= leak.high and leak.low <= r.high]
            near = [one for one in placed if one.gauge in same]
            if found := _beside(near, name, leak.per_step):
                yield found


def _beside(
    near: Sequence[Origin], gauge: str, per_step: float, share: float | None = None
) -> Origin | None:
    """Return the place of these origins for another resource; None if they have several."""
    if len({(one.file, one.line) for one in near}) != 1:
        return None
    known = near[0].share if share is None else share
    return replace(near[0], gauge=gauge, per_step=per_step, share=known)


def _growing(sites: Iterable[Site], heap: GaugeVerdict | None) -> list[Site]:
    """Return the sites that surely grow; of a leak that began late, those that grew at all."""
    sure = [site for site in sites if site.low > 0]
    if heap is None or sum(site.bytes_per_step for site in sure) > heap.per_step / 2:
        return sure
    least = _LEAST_PART * heap.per_step
    return [site for site in sites if site.low > 0 or site.bytes_per_step > least]


def _directness(held: Held) -> tuple[bool, bool, int, bool]:
    """Sort the object nearest to a root that names its owner to the front, weak references last."""
    steps = held.path.count(evidence.ARROW)
    return held.is_weak, held.path.startswith(evidence.NOBODY), steps, held.line is None


def _leads(one: Evidence, group: Group) -> tuple[bool, bool, float]:
    return bool(one.opened), not one.line[0].startswith(UNKNOWN), _weight(one, group)


def _weight(one: Evidence, group: Group) -> float:
    if group.gauges:
        return max((origin.share for origin in one.opened.values()), default=0.0)
    return one.memory.heap + one.memory.mapped


def _place(texts: Mapping[Line, str], line: Line, function: str = "") -> Place | None:
    return None if line[0].startswith(UNKNOWN) else Place(*line, function, texts.get(line, ""))


def _library(one: Evidence, texts: Mapping[Line, str]) -> Place | None:
    site = one.site
    if site is None or not site.leaf_file or (site.leaf_file, site.leaf_line) == one.line:
        return None
    return _place(texts, (site.leaf_file, site.leaf_line), site.leaf_function)


def _unseen(
    leaks: Mapping[str, GaugeVerdict], balance: Mapping[str, Balanced], found: bool, resident: str
) -> Iterator[Cause]:
    """Yield a cause without a line for what grows and no instrument saw.

    `resident` is the kind of growth of resident memory alone.
    """

    def bare(kind: str, names: Iterable[str]) -> Cause:
        rates = {name: leaks[name].per_step for name in names}  # 0 for rare jumps
        shares = {name: balance[name].unexplained / r if r else 1.0 for name, r in rates.items()}
        parts = tuple(Explained.part(leaks[name], share) for name, share in shares.items())
        fingerprint = _fingerprint(kind, None, ",".join(shares))
        return Cause(
            id=fingerprint, kind=kind, gauges=parts, site=None, advice=model.Advice.of(kind, "")
        )

    if "heap" in leaks and balance["heap"].code == model.NOT_INTERCEPTED:
        yield bare(model.NATIVE, [n for n in ("heap", "native", "rss", "uss") if n in leaks])
        return
    explained = {name for name, one in balance.items() if one.explained > 0}
    pages = [name for name in ("uss", "rss") if name in leaks]
    live = {name for name in leaks if leaks[name].family in ("memory", "objects")}
    if pages and not live and not explained:
        yield bare(resident, pages)
    handles, own = (
        [name for name, one in leaks.items() if one.family == family and name not in explained]
        for family in ("handles", "own")
    )
    if handles:
        kind = next((kind for name, kind in model.BY_GAUGE.items() if name in handles), model.FILES)
        yield bare(kind, handles)
    if own and not (found or explained or handles or live):
        yield bare(model.OWN, own)
    if live and not found:
        yield bare(model.OBJECTS, sorted(live, key=_rank))


def _late(
    late: Sequence[GaugeVerdict],
    origins: Iterable[Origin],
    culprits: Culprits,
    texts: Mapping[Line, str],
) -> Cause:
    """Return the cycles that keep resources until the garbage collector runs."""
    cycle = next(iter(culprits.cycles.to_dict(orient="records")), None)
    chain, rate = (str(cycle["cycle"]), float(cycle["per_step"])) if cycle else ("", math.nan)
    first = next((one for one in origins if one.gauge == late[0].gauge and one.file), None)
    site = _place(texts, (first.file, first.line), first.function) if first else None
    parts = tuple(replace(Explained.part(one, 1.0), per_step=rate) for one in late)
    return Cause(
        id=_fingerprint(model.CYCLES, site, chain), kind=model.CYCLES, gauges=parts, site=site,
        chain=chain, advice=model.Advice.of(model.CYCLES, chain),
    )  # fmt: skip


def _fingerprint(kind: str, site: Place | None, chain: str) -> str:
    where = (site.file, site.function, " ".join(site.text.split())) if site else ("", "", "")
    return hashlib.sha256("|".join((kind, *where, chain)).encode()).hexdigest()[:12]


def _limit(
    parts: Sequence[Explained], leaks: Mapping[str, GaugeVerdict], limits: Mapping[str, float]
) -> Limit | None:
    """Return the limit that is reached first, by all that leaks; None if none is known."""
    reached = [
        Limit(_CALLED.get(name, name), limits[name], unit, limits[name] / rate)
        for part in parts
        for names, unit in [_LIMITS.get(part.gauge, ((), ""))]
        for rate in [_towards(names, part.gauge, leaks)]
        for name in names
        if name in limits and part.per_step > 0 and rate > 0
    ]
    return min(reached, key=lambda one: one.steps, default=None)


def _towards(names: Sequence[str], gauge: str, leaks: Mapping[str, GaugeVerdict]) -> float:
    """Return how fast a limit is approached: threads and processes are counted together."""
    tasks = [one.per_step for name, one in leaks.items() if _LIMITS.get(name, ("",))[0] is _TASKS]
    return sum(tasks) if names is _TASKS else leaks[gauge].per_step


def _rank(gauge: str) -> int:
    return _FIRST.index(gauge) if gauge in _FIRST else len(_FIRST)
