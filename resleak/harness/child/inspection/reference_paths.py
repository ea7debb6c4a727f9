"""Describe how one object references another: attributes, containers, variables; never a value."""

from __future__ import annotations

import threading
import types
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

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
