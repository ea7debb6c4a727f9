"""The graph of all reachable objects, walked once from its GC roots, and paths through it.

A path names attributes, containers and variables, never a value.
"""

from __future__ import annotations

import asyncio
import contextvars
import dis
import gc
import inspect
import re
import sys
import threading
import types
import weakref
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from typing import Any

from resleak.harness.child.inspection import call_stacks
from resleak.harness.child.inspection.locks import KnownLock, KnownRLock

#: Name of a GC root, and the object it references.
Root = tuple[str, Any]
#: Types without referents, of which there are many.
LEAVES = frozenset({str, bytes, int, float, complex, bool, type(None), bytearray})
#: Types whose objects reference something else than the collector says.
_LOCKS = frozenset({KnownLock, KnownRLock})
_SPECIAL = frozenset({*_LOCKS, threading.local})
#: Attributes that reference others, of types where the collector names no attribute.
_HOLD_BY: tuple[tuple[type, tuple[str, ...]], ...] = (
    (types.MethodType, ("__self__", "__func__")),
    (types.FunctionType, ("__defaults__", "__kwdefaults__")),
    (types.TracebackType, ("tb_frame", "tb_next")),
    (BaseException, ("__traceback__", "__context__", "__cause__", "args")),
)
_FRAMES: tuple[tuple[type, str], ...] = (
    (types.GeneratorType, "gi_frame"),
    (types.CoroutineType, "cr_frame"),
    (types.AsyncGeneratorType, "ag_frame"),
)
_MOST_TOKENS = 14
_FINALIZERS = vars(weakref.finalize)["_registry"]


class Graph:
    """All objects, each with a referrer that is as close to a root as possible."""

    def __init__(
        self, roots: Iterable[Root], ours: Iterable[Any] = (), notes: Iterable[Any] = ()
    ) -> None:
        self.nodes: dict[int, Any] = {}
        self._holders: dict[int, int] = {}
        self._names: dict[int, str] = {}
        self._owners: dict[int, types.ModuleType] = {}
        self._locks: list[Any] = []
        ours = [*ours]
        mine = [self, vars(self), *vars(self).values()]
        self._hidden = {id(one) for one in [*ours, ours, *notes, *mine, mine]}
        # One breadth-first walk gives the shortest path to every object at once, where
        # `gc.get_referrers` would scan all objects for each step.
        self._walk(roots)
        self._walk_the_rest(ours)

    def path(self, thing: int) -> str:
        """Return the path from a root to an object, given by its `id`."""
        chain = [thing]
        while (holder := self._holders[chain[-1]]) != 0:
            chain.append(holder)
        path = [self.nodes[one] for one in reversed(chain)]
        if len(path) > 2 and isinstance(path[0], types.ModuleType) and path[1] is vars(path[0]):
            module = self._owner(path[0], path[2])
            path[:2] = [module, vars(module)]
        return render(self._names[chain[-1]], path)

    def _owner(self, found: types.ModuleType, thing: Any) -> types.ModuleType:
        """Return the module whose own code gives an object its name, which others may import."""
        if id(thing) not in self._owners:
            modules = [self.nodes[key] for key, name in self._names.items() if not name]
            named = [
                (module, name)
                for module in modules
                for name, value in [*vars(module).items()]
                if value is thing
            ]
            assigning = (module for module, name in named if _assigns(module, name))
            owner = found if len(named) < 2 else next(assigning, found)
            self._owners[id(thing)] = owner
        return self._owners[id(thing)]

    def _walk(self, roots: Iterable[Root]) -> None:
        nodes, holders, hidden = self.nodes, self._holders, self._hidden
        queue: list[Any] = []
        for name, root in roots:
            if id(root) not in nodes and id(root) not in hidden:
                nodes[id(root)], holders[id(root)], self._names[id(root)] = root, 0, name
                queue.append(root)
        self._follow(queue)
        # Finalizers keep what they will be called with; who else keeps it says more.
        self._follow([one for one in [_FINALIZERS] if id(one) in nodes])

    def _follow(self, queue: list[Any]) -> None:
        nodes, holders, hidden = self.nodes, self._holders, self._hidden
        hidden.add(id(queue))
        for holder in queue:  # which grows meanwhile
            is_plain, mine = type(holder) not in _SPECIAL, id(holder)
            for referent in gc.get_referents(holder) if is_plain else self._held_by(holder):
                key = id(referent)
                if key not in nodes and key not in hidden:
                    nodes[key], holders[key] = referent, mine
                    if type(referent) not in LEAVES and referent is not _FINALIZERS:
                        queue.append(referent)

    def _walk_the_rest(self, ours: Iterable[Any]) -> None:
        """Walk from what C code references, found by counting references."""
        skipped = _reach([*ours, *self._locks], self.nodes, self._hidden)
        rest = [
            one for one in gc.get_objects() if id(one) not in self.nodes and id(one) not in skipped
        ]
        inside = dict.fromkeys(map(id, rest), 0)
        for one in rest:
            for referent in gc.get_referents(one):
                if id(referent) in inside:
                    inside[id(referent)] += 1
        # Two more references: the list's, and that of the count itself.
        held_by_c = [one for one in rest if sys.getrefcount(one) - 3 > inside[id(one)]]
        self._hidden |= {id(rest), id(inside), id(skipped)} | skipped
        # A frame keeps an empty dict after its variables were read.
        self._walk(("C code", one) for one in held_by_c if type(one) is not dict or one)

    def _held_by(self, holder: Any) -> list[Any]:
        """Return what an object of a special type references."""
        if type(holder) in _LOCKS:  # its records of holders are ours
            self._locks.append(holder)
            return []
        # The interpreter keeps the contents of a `threading.local` with each thread.
        return [*gc.get_referents(holder), vars(holder)]


def _reach(things: Iterable[Any], known: dict[int, Any], hidden: set[int]) -> set[int]:
    """Return the ids of all containers reachable from some objects, known ones excepted."""
    queue = [*things]
    reached = {id(queue), *map(id, queue)}
    while queue:
        for referent in gc.get_referents(queue.pop()):
            if (
                type(referent) not in LEAVES
                and id(referent) not in known
                and id(referent) not in hidden
                and id(referent) not in reached
            ):
                reached.add(id(referent))
                queue.append(referent)
    return reached


def roots(named: Iterable[Root], hidden: set[int]) -> Iterator[Root]:
    """Yield what the interpreter and the studied code reference by name."""
    modules = [module for module in [*sys.modules.values()] if isinstance(module, types.ModuleType)]
    theirs = [module for module in modules if not _is_ours(module)]
    library = sys.stdlib_module_names
    theirs.sort(key=lambda module: module.__name__.partition(".")[0] in library)
    yield from (("", module) for module in theirs)
    yield from named
    with suppress(RuntimeError):
        yield "event loop", asyncio.get_running_loop()
    running = sys._current_frames()
    running[threading.get_ident()] = sys._getframe(1)  # not this one: it would hold itself
    for ident, frame in running.items():
        if ident not in hidden:
            yield from _variables(ident, frame)
    for variable, value in contextvars.copy_context().items():
        yield f"context variable {variable.name}", value


def _variables(ident: int, innermost: types.FrameType) -> Iterator[Root]:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    thread = re.sub(r"\d+", "*", names.get(ident, ""))  # so that all of a kind have one path
    for frame in call_stacks.frames(innermost):
        if not call_stacks.is_ours(frame.f_code.co_filename):
            where = f"{call_stacks.name(frame.f_code)} in thread {thread!r}"
            variables = dict(frame.f_locals)
            if sys.version_info < (3, 13) and frame.f_code.co_flags & inspect.CO_OPTIMIZED:
                frame.f_locals.clear()  # a copy that would keep them alive
            yield from ((f"{name} of {where}", value) for name, value in variables.items())


def _is_ours(module: types.ModuleType) -> bool:
    if module.__name__ == "__main__":
        return call_stacks.is_ours(getattr(module, "__file__", "") or "")
    return module.__name__.startswith("resleak") and "scenarios" not in module.__name__


@cache
def _assigns(module: types.ModuleType, name: str) -> bool:
    """Return whether a module's code stores a name otherwise than by importing it."""
    code = None
    with suppress(Exception):  # a loader may be anyone's
        code = module.__spec__.loader.get_code(module.__name__)  # type: ignore[union-attr]
    if code is None:
        return False
    steps = [*dis.get_instructions(code)]
    pairs = zip([None, *steps], steps, strict=False)
    return any(
        step.opname == "STORE_NAME"
        and step.argval == name
        and (before is None or not before.opname.startswith("IMPORT_"))
        for before, step in pairs
    )


def render(root: str, path: list[Any]) -> str:
    """Return a path such as ``cache.PROMPTS → dict → Entry.history``."""
    tokens, at, text = [root] if root else [], 0, kind(path[0])
    while at + 1 < len(path):
        name, hops = _name(path[at : at + 4])
        text += f".{name}" if name else ""
        tokens.append(text)
        at += hops
        text = kind(path[at])
    return " → ".join(_once([*tokens, text]))


def kind(thing: Any) -> str:
    """Return a type's name; modules, classes and functions have their own."""
    if isinstance(thing, types.ModuleType):
        return thing.__name__.removeprefix("_resleak_")
    if isinstance(thing, type):
        return f"class {thing.__qualname__}"
    if isinstance(thing, types.FunctionType):
        return f"function {thing.__qualname__}"
    return type(thing).__qualname__


def _name(path: list[Any]) -> tuple[str, int]:
    """Return the name under which the first object references a later one, and their distance."""
    holder, target = path[:2]
    is_namespace = isinstance(holder, type) or variables_of(holder) is target
    if isinstance(target, dict) and len(path) > 2 and is_namespace:
        names = (key for key, value in [*target.items()] if value is path[2])
        return next((n for n in names if isinstance(n, str) and n.isidentifier()), ""), 2
    if isinstance(holder, types.FunctionType) and target is holder.__closure__ and len(path) > 3:
        cells = [id(cell) for cell in holder.__closure__]
        return holder.__code__.co_freevars[cells.index(id(path[2]))], 3
    return next((name for name, value in _attributes(holder) if value is target), ""), 1


def variables_of(thing: Any) -> Any:
    """Return the variables of an object as they are, without calling code of its class."""
    if type(thing) is threading.local:
        return vars(thing)
    with suppress(AttributeError, TypeError):
        return object.__getattribute__(thing, "__dict__")
    return None


def _attributes(holder: Any) -> Iterator[tuple[str, Any]]:
    namespace = variables_of(holder)
    if isinstance(namespace, dict):
        yield from [(k, v) for k, v in namespace.items() if isinstance(k, str) and k.isidentifier()]
    for of in type(holder).__mro__:
        for name, slot in [*vars(of).items()]:
            if isinstance(slot, types.MemberDescriptorType):
                with suppress(AttributeError):
                    yield name, slot.__get__(holder)
    for of, names in _HOLD_BY:
        if isinstance(holder, of):
            yield from ((name, getattr(holder, name)) for name in names)
    frame = holder if isinstance(holder, types.FrameType) else None
    for kind, name in _FRAMES:
        if isinstance(holder, kind):
            frame = getattr(holder, name)
    if frame is not None:
        yield from [*frame.f_locals.items()]


def _once(tokens: list[str]) -> list[str]:
    """Return tokens without repetitions: a chain of a thousand links is one link and dots."""
    short: list[str] = []
    for token in tokens:
        if short[-2:] == [token, token]:
            short[-1] = "…"
        elif short[-2:] != [token, "…"]:
            short.append(token)
    half = _MOST_TOKENS // 2
    return short if len(short) <= _MOST_TOKENS else [*short[:half], "…", *short[-half:]]
