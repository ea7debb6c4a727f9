"""Group lines into causes: what one owner keeps, and what one line makes, is one cause."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from resleak.analysis.causes import evidence, model
from resleak.analysis.causes.evidence import ARROW, NOBODY, UNKNOWN, Evidence, Held, Line, Memory
from resleak.captures.source_paths import is_library

#: Kinds that run code: what their own frames keep belongs to them.
RUNNING = (model.THREADS, model.TASKS, model.CHILDREN, model.ZOMBIES)
#: Share of a group's memory below which a line of the same function belongs to it, if there are
#: others.
_PART = 0.25
#: Share of all that is kept below which a holder says nothing: caches of the interpreter.
_LEAST = 0.05


@dataclass
class Group:
    """The lines of one cause, and the objects that it keeps, the most telling first."""

    lines: list[Evidence] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)

    @property
    def heap(self) -> float:
        """Bytes per step, without the address space of maps."""
        return sum(one.memory.heap for one in self.lines)

    @property
    def mapped(self) -> float:
        """Bytes of maps per step."""
        return sum(one.memory.mapped for one in self.lines)

    @property
    def size(self) -> float:
        """Bytes per step, with maps."""
        return self.heap + self.mapped

    @property
    def gauges(self) -> set[str]:
        """The gauges of resources that it explains."""
        return {gauge for one in self.lines for gauge in one.opened}

    @property
    def kind(self) -> str:
        """The kind of leak: by the resource that is opened, or else by the allocator."""
        if kinds := [kind for gauge, kind in model.BY_GAUGE.items() if gauge in self.gauges]:
            return kinds[0]
        if self.mapped > self.heap:
            return model.MAPS
        malloc = sum(one.memory.malloc for one in self.lines)
        return model.NATIVE if not self.held and malloc > self.heap / 2 else model.OBJECTS


def groups(
    found: Mapping[Line, Evidence], kept: Sequence[Held], texts: Mapping[Line, str], reused: Memory
) -> list[Group]:
    """Join the lines that make what one holder keeps: a tree of retained objects is one cause.

    `reused` is memory that our own lines allocated first: a step's number, or a block that a free
    list handed out again. It belongs to what keeps most.
    """
    holder = evidence.holders(kept)
    parents: dict[object, object] = {}

    def root(of: object) -> object:
        while (above := parents.setdefault(of, of)) != of:
            of = above
        return of

    for line, one in found.items():
        for held in one.held:
            parents[root(line)] = root(holder[held.path])
    owners = _owners(kept, holder)
    whole = {root(owner) for owner in owners}
    is_placed = any(held.line for held in kept)
    opened = {gauge for one in found.values() for gauge in one.opened}
    runs = any(model.BY_GAUGE.get(gauge) in RUNNING for gauge in opened)
    least = _LEAST * sum(held.per_step for held in kept)
    for line, one in found.items():
        if not any(held.per_step > least or not held.path.startswith(NOBODY) for held in one.held):
            text = texts.get(line, "\n\n").split("\n")[1]
            # What a line opens may be kept as a number, beside objects that others make.
            named = {root(o) for o in owners if not one.opened and _is_named(text, o)}
            # Python's own objects have an owner; what C code allocates or opens may have none, if
            # it is known which line made what is kept.
            is_python = not one.opened and one.memory.malloc < one.memory.heap / 2
            has_owner = is_python or not is_placed
            is_run = runs and is_library(line[0])
            near = named or (whole if has_owner and not is_run else ())
            if len(near) == 1:
                parents[root(line)] = next(iter(near))
    by_root: dict[object, Group] = defaultdict(Group)
    for line, one in found.items():
        by_root[root(line)].lines.append(one)
    for held in kept:
        if (key := root(holder[held.path])) in by_root:
            by_root[key].held.append(held)
    joined = _with_registries(_with_threads([*by_root.values()]))
    joined = _with_parts(joined, is_inspected=bool(kept))
    joined.sort(key=lambda group: -group.heap)
    if joined and reused.heap > 0:
        joined[0].lines.append(Evidence((UNKNOWN, 0), memory=reused))
    return joined


def _owners(kept: Sequence[Held], holder: Mapping[str, str]) -> set[str]:
    """Return the holders that have a name of their own, and keep more than next to nothing."""
    rates: dict[str, float] = {}
    for held in kept:
        if not is_bare(held):
            rates[holder[held.path]] = rates.get(holder[held.path], 0.0) + held.per_step
    return {owner for owner, rate in rates.items() if rate > _LEAST * sum(rates.values())}


def _with_threads(joined: list[Group]) -> list[Group]:
    """Give a thread, task or process that stays what its own frames keep, and what it runs."""
    running = [group for group in joined if group.kind in RUNNING]
    others = [group for group in joined if group.kind not in RUNNING]
    is_only = len(running) == 1
    for group in [*others] if running else []:
        is_kept = any(map(_is_variable, group.held)) or (
            bool(group.held) and all(map(is_bare, group.held))
        )
        if is_kept or (is_only and all(is_library(line.line[0]) for line in group.lines)):
            # Of several, the one that is started nearest to the line.
            nearest = min(running, key=lambda other: _distance(group, other))
            nearest.lines += group.lines
            nearest.held += group.held if is_kept else []
            others.remove(group)
    return [*running, *others]


def _with_registries(joined: list[Group]) -> list[Group]:
    """Give what weak references and finalizers take to what keeps the objects, if it is known."""
    others = [g for g in joined if g.gauges or not all(held.is_weak for held in g.held)]
    owner = max((one for one in others if one.held), key=lambda group: group.heap, default=None)
    if owner is None:
        return joined
    for group in joined:
        if group.held and group not in others:
            owner.lines += group.lines
    return [group for group in joined if group in others or not group.held]


def _is_variable(held: Held) -> bool:
    """Return whether an object is a variable of a thread's frame, one per thread."""
    root, _, rest = held.path.partition(ARROW)
    return " in thread '" in root and ARROW not in rest


def _distance(group: Group, other: Group) -> float:
    """Return how many lines of one file are between two groups; infinite for two files."""
    places = [(one.line, two.line) for one in group.lines for two in other.lines]
    return min((abs(a[1] - b[1]) for a, b in places if a[0] == b[0]), default=float("inf"))


def is_bare(held: Held) -> bool:
    """Return whether only what runs, the interpreter's own list of it, or C keeps an object."""
    if held.path.startswith(("threading.", "asyncio.", "subprocess.", "multiprocessing.")):
        return True
    root = held.path.partition(ARROW)[0]
    return " in thread '" in root or root.startswith(("C code", "event loop"))


def _with_parts(joined: list[Group], *, is_inspected: bool) -> list[Group]:
    """Give a line without an owner to the cause of the same function; the rest goes by function."""
    whole = [group for group in joined if group.gauges or group.held]
    alone: dict[tuple[str, str], Group] = defaultdict(Group)
    for part in (group for group in joined if not (group.gauges or group.held)):
        (line,) = part.lines
        near = [group for group in whole if any(one.code == line.code for one in group.lines)]
        if len(whole) != 1:
            near = [group for group in near if part.size <= _PART * group.size]
        elif not is_inspected and part.size <= _PART * whole[0].size:
            near = whole  # nothing is known of owners
        (near[0] if near else alone[line.code]).lines.append(line)
    return [*whole, *alone.values()]


def _is_named(text: str, owner: str) -> bool:
    """Return whether a line of source mentions what keeps objects, as ``KEPT`` or ``Pool.kept``."""
    names = {token.rpartition(".")[2] for token in owner.split(ARROW) if "." in token}
    return any(name.isidentifier() and re.search(rf"\b{name}\b", text) for name in names)
