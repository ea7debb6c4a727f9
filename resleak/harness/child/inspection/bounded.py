"""Find containers with a declared bound that are still filling: no leak, if it holds."""

from __future__ import annotations

import functools
import gc
import sys
import types
from collections import deque
from contextlib import suppress
from typing import Any

from resleak.harness.child.inspection.object_graph import Graph

#: Attributes that declare a bound, also with the prefixes of a private name.
_BOUNDS = (
    *("maxsize", "max_size", "maxlen", "max_len", "max_length", "max_entries", "max_items"),
    *("cache_size", "capacity", "limit", "size_limit"),
)
_LARGEST = 1_000_000
_CACHE = type(functools.lru_cache(len))
CONTAINERS = (dict, list, set, deque)
#: Entries that are weighed, and objects of one that are.
_SAMPLES, _PARTS = 30, 60
_SHARED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType)


class Filling:
    """Sizes and bounds of containers by their id, at each mark of the steady phase."""

    def __init__(self) -> None:
        self._sizes: list[dict[int, tuple[int, int]]] = []

    def mark(self, steps: int, graph: Graph) -> list[dict[str, Any]]:
        """Note the sizes, `steps` after the first mark; at the third return those that grew."""
        sizes: dict[int, tuple[int, int]] = {}
        without: set[type] = set()  # types whose first instance declares no bound
        for key, thing in graph.nodes.items():
            if type(thing) not in without:
                if (size_and_bound := _size_and_bound(thing)) is None:
                    without.add(type(thing))
                elif 0 < size_and_bound[0] <= size_and_bound[1] <= _LARGEST:
                    sizes[key] = size_and_bound
        self._sizes.append(sizes)
        if len(self._sizes) < 3:
            return []
        first, second, third = self._sizes
        return [
            {
                "path": graph.path(key),
                "size": size,
                "bound": bound,
                "per_step": (size - first[key][0]) / steps,
                **_weight(graph.nodes[key], size),
            }
            for key, (size, bound) in third.items()
            if key in first and key in second and first[key][0] < second[key][0] < size < bound
        ]


def _size_and_bound(thing: Any) -> tuple[int, int] | None:
    """Return how full a container is; bound 0 if it has none, None if its type never has."""
    if issubclass(type(thing), _CACHE):
        info = thing.cache_info()
        return info.currsize, info.maxsize or 0
    if issubclass(type(thing), deque):
        return len(thing), thing.maxlen or 0
    bounds = _bounds(thing)
    if bounds is None or issubclass(type(thing), _SHARED):
        return None
    sizes = [size for one in (thing, *_held(thing)) if (size := _length(one))]
    return (max(sizes), bounds[0]) if len(bounds) == 1 and sizes else (0, 0)


def _bounds(thing: Any) -> list[int] | None:
    """Return the whole numbers of an instance that are called as bounds are; None if it has none.

    Its variables are not read as a mapping, which would be made for it, and no code of its class is
    called.
    """
    of: Any = type(thing)
    if of.__getattribute__ is not object.__getattribute__ or not of.__dictoffset__:
        return None
    values = []
    for name in _names(of):
        with suppress(AttributeError):
            values.append(object.__getattribute__(thing, name))
    return [value for value in values if type(value) is int and value > 1] if values else None


def _held(thing: Any) -> list[Any]:
    """Return what an instance references, the values of its variables instead of their mapping."""
    held = gc.get_referents(thing)
    of = type(thing)
    if of.__dictoffset__ and not issubclass(of, _CACHE):
        names = _names(of)
        for one in held:
            if type(one) is dict and any(name in one for name in names):
                return [*held, *one.values()]
    return held


def _names(of: type) -> list[str]:
    """Return the names under which an instance may have a bound that its classes do not compute."""
    private = [f"_{base.__name__.lstrip('_')}__" for base in of.__mro__[:-1]]
    names = [f"{prefix}{word}" for word in _BOUNDS for prefix in ("", "_", *private)]
    computed = set().union(*map(vars, of.__mro__))
    return [name for name in names if name not in computed]


def _length(thing: Any) -> int | None:
    """Return the length of a container, without calling code of its class."""
    # Not isinstance, for which a proxy would call code of its own.
    base = next((base for base in CONTAINERS if issubclass(type(thing), base)), None)
    return None if base is None else int(base.__len__(thing))


def _weight(thing: Any, size: int) -> dict[str, float]:
    """Return the bytes and the objects of an entry, by what can be reached from a sample."""
    entries = [one for one in _held(thing) if not issubclass(type(one), _SHARED)]
    if not issubclass(type(thing), _CACHE):
        longest = max([thing, *entries], key=lambda one: _length(one) or 0)
        entries = gc.get_referents(longest)
    sample = entries[-2 * _SAMPLES :]  # neighbours: keys and values take turns
    seen: set[int] = {id(thing)}
    total = 0
    for entry in sample:
        todo, taken = [entry], 0
        while todo and taken < _PARTS:
            one = todo.pop()
            if id(one) not in seen and not issubclass(type(one), _SHARED):
                seen.add(id(one))
                total += sys.getsizeof(one)
                taken += 1
                todo += gc.get_referents(one)
    per_entry = len(entries) / size / max(1, len(sample))
    return {"entry_bytes": total * per_entry, "entry_objects": (len(seen) - 1) * per_entry}
