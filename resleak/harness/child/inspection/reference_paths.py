"""Describe how one object references another: attributes, containers, variables; never a value."""

from __future__ import annotations

import threading
import types
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

#: Attributes that reference others, of types where the collector names no attribute.
_HOLD_BY: tuple[tuple[type, tuple[str, ...]], ...] = (
    (types.MethodType, ("__self__", "__func__")),
    (types.FunctionType, ("__defaults__", "__kwdefaults__")),
    (types.TracebackType, ("tb_frame", "tb_next")),
    (BaseException, ("__traceback__", "__context__", "__cause__", "args")),
)
_FRAMES = ("gi_frame", "cr_frame", "ag_frame")
_MOST_TOKENS = 14


def render(root: str, path: list[Any]) -> str:
    """Return a path such as ``cache.PROMPTS → dict → Entry.history``.

    Each object is referenced by the one before; `root` is empty where the first has its own name.
    Repetitions are shown once.
    """
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
    if isinstance(target, dict) and len(path) > 2 and _is_namespace(target, holder):
        return _key(target, path[2]), 2
    if isinstance(holder, types.FunctionType) and target is holder.__closure__ and len(path) > 3:
        cells = [id(cell) for cell in holder.__closure__]
        return holder.__code__.co_freevars[cells.index(id(path[2]))], 3
    return _attribute(holder, target), 1


def _is_namespace(target: dict[Any, Any], holder: Any) -> bool:
    return isinstance(holder, type) or _namespace(holder) is target


def _namespace(thing: Any) -> Any:
    if type(thing) is threading.local:
        return vars(thing)
    with suppress(AttributeError, TypeError):
        return object.__getattribute__(thing, "__dict__")
    return None


def _key(held_in: Mapping[Any, Any], target: Any) -> str:
    """Return the identifier under which a namespace references an object, or nothing."""
    names = (key for key, value in [*held_in.items()] if value is target)
    return next((name for name in names if isinstance(name, str) and name.isidentifier()), "")


def _attribute(holder: Any, target: Any) -> str:
    """Return the attribute, or the frame's variable, that references another object."""
    return next((name for name, value in _attributes(holder) if value is target), "")


def _attributes(holder: Any) -> Iterator[tuple[str, Any]]:
    namespace = _namespace(holder)
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
    frame = next((f for f in (_frame_of(holder, n) for n in _FRAMES) if f is not None), None)
    if isinstance(holder, types.FrameType):
        frame = holder
    if frame is not None:
        yield from [*frame.f_locals.items()]


def _frame_of(holder: Any, name: str) -> Any:
    """Return a built-in attribute of a generator or coroutine, or None."""
    generators = (types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType)
    return getattr(holder, name, None) if isinstance(holder, generators) else None


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
