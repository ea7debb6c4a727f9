"""Group lines into causes: what one owner keeps, and what one line makes, is one cause."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from resleak.analysis.causes import model
from resleak.analysis.causes.evidence import ARROW, Evidence, Held, Line, holders
from resleak.analysis.stacks.allocation_sites import is_library

#: Kinds by the gauge of what is never released, the most telling first.
BY_GAUGE = {
    "zombies": model.ZOMBIES,
    "children": model.CHILDREN,
    "threads": model.THREADS,
    "tasks": model.TASKS,
    "shm": model.SHM,
    "sockets": model.SOCKETS,
    "tempfiles": model.TEMPORARY,
    "fds": model.FILES,
}
#: Kinds that run code: what their own frames keep belongs to them.
RUNNING = (model.THREADS, model.TASKS, model.CHILDREN, model.ZOMBIES)
#: Share of a group's memory below which a line of the same function belongs to it.
_PART = 0.25
#: Share of all growth of memory below which a line alone is no cause.
_LEAST = 0.02


@dataclass(frozen=True)
class Group:
    """The lines of one cause, and the objects that it keeps, the most telling first."""

    lines: tuple[Evidence, ...]
    held: tuple[Held, ...]

    @property
    def heap(self) -> float:
        """Bytes per step, without the address space of maps."""
        return sum(one.memory.heap for one in self.lines)

    @property
    def mapped(self) -> float:
        """Bytes of maps per step."""
        return sum(one.memory.mapped for one in self.lines)

    @property
    def gauges(self) -> set[str]:
        """The gauges of resources that it explains."""
        return {gauge for one in self.lines for gauge in one.opened}

    @property
    def kind(self) -> str:
        """The kind of leak: by the resource that is opened, or else by the allocator."""
        if gauge := next((gauge for gauge in BY_GAUGE if gauge in self.gauges), ""):
            return BY_GAUGE[gauge]
        if self.mapped > self.heap:
            return model.MAPS
        malloc = sum(one.memory.malloc for one in self.lines)
        return model.NATIVE if not self.held and malloc > self.heap / 2 else model.OBJECTS


def groups(
    found: Mapping[Line, Evidence], kept: Sequence[Held], texts: Mapping[Line, str]
) -> list[Group]:
    """Join the lines whose objects have one holder; lines that explain next to nothing go."""
    holder = holders(kept)
    parents: dict[object, object] = {}

    def root(of: object) -> object:
        while (above := parents.setdefault(of, of)) != of:
            of = above
        return of

    for line, one in found.items():
        for held in one.held:
            parents[root(line)] = root(holder[held.path])
    lines: dict[object, list[Evidence]] = {}
    for line, one in found.items():
        lines.setdefault(root(line), []).append(one)
    joined = [
        Group(tuple(members), tuple(held for held in kept if root(holder[held.path]) == key))
        for key, members in lines.items()
    ]
    return _with_parts(_with_threads(joined), texts)


def _with_threads(joined: list[Group]) -> list[Group]:
    """Give a thread, task or process that stays what its own frames keep, and what it runs."""
    running = [group for group in joined if group.kind in RUNNING]
    if len(running) != 1:
        return joined
    (one,), others = running, []
    for group in joined:
        if group is not one and (all(map(is_of_thread, group.held)) and group.held):
            one = Group((*one.lines, *group.lines), (*one.held, *group.held))
        elif group is not one and all(is_library(line.line[0]) for line in group.lines):
            one = Group((*one.lines, *group.lines), one.held)
        elif group is not one:
            others.append(group)
    return [one, *others]


def is_of_thread(held: Held) -> bool:
    """Return whether only what runs, or code in C, keeps an object."""
    root = held.path.partition(ARROW)[0]
    return " in thread '" in root or root.startswith(("C code", "event loop"))


def is_listed(held: Held) -> bool:
    """Return whether the interpreter's own list of threads, tasks or processes keeps an object."""
    return held.path.startswith(("threading.", "asyncio.", "subprocess.", "multiprocessing."))


def _with_parts(joined: list[Group], texts: Mapping[Line, str]) -> list[Group]:
    """Give lines without an owner to the cause that they mention, or of the same function."""
    whole = [group for group in joined if group.gauges or group.held]
    parts = [group for group in joined if not (group.gauges or group.held)]
    total = sum(group.heap + group.mapped for group in joined)
    alone = []
    for part in sorted(parts, key=lambda part: -(part.heap + part.mapped)):
        (line,) = part.lines
        size = part.heap + part.mapped
        text = texts.get(line.line, "\n\n").split("\n")[1]
        near = [n for n, group in enumerate(whole) if _is_near(line, group)]
        near = [n for n in near if size <= _PART * (whole[n].heap + whole[n].mapped)]
        near = [n for n, group in enumerate(whole) if _is_named(text, group)] or near
        if near or (len(whole) == 1 and size < _LEAST * total):
            at = near[0] if near else 0
            whole[at] = Group((*whole[at].lines, line), whole[at].held)
        elif size >= _LEAST * total:
            alone.append(part)
    return whole + alone


def _is_named(text: str, group: Group) -> bool:
    """Return whether a line of source mentions what keeps the objects of a group."""
    owners = {held.path.partition(ARROW)[0].rpartition(".")[2] for held in group.held}
    return any(owner.isidentifier() and re.search(rf"\b{owner}\b", text) for owner in owners)


def _is_near(line: Evidence, group: Group) -> bool:
    places = {(one.line[0], one.function) for one in group.lines}
    return (line.line[0], line.function) in places
