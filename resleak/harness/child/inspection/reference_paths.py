"""How one object holds another, in words: attributes, containers, variables; never a value."""

from __future__ import annotations

import threading
import types
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

#: Attributes by which these hold others, where the collector tells that they do but not how.
_HOLD_BY: tuple[tuple[type, tuple[str, ...]], ...] = (
    (types.MethodType, ("__self__", "__func__")),
    (types.FunctionType, ("__defaults__", "__kwdefaults__")),
    (types.TracebackType, ("tb_frame", "tb_next")),
    (BaseException, ("__traceback__", "__context__", "__cause__", "args")),
)
_FRAMES = ("gi_frame", "cr_frame", "ag_frame")
_MOST_TOKENS = 14


def render(root: str, path: list[Any]) -> str:
    """Write a path from a root to an object, such as ``cache.PROMPTS → dict → Entry.history``.

    Parameters
    ----------
    root : str
        What holds the first object; empty if that is known by its own name, as a module is.
    path : list
        Each object is held by the one before it.

    Returns
    -------
    str
        Names of attributes and variables, and types. What repeats itself is told once.
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
    """Return what an object is: a type's name; modules, classes and functions go by their own."""
    if isinstance(thing, types.ModuleType):
        return thing.__name__.removeprefix("_resleak_")
    if isinstance(thing, type):
        return f"class {thing.__qualname__}"
    if isinstance(thing, types.FunctionType):
        return f"function {thing.__qualname__}"
    return type(thing).__qualname__


def _name(path: list[Any]) -> tuple[str, int]:
    """Return by which name the first object holds a later one, and how far away that is."""
    holder, held = path[:2]
    if isinstance(held, dict) and len(path) > 2 and _is_namespace(held, holder):
        return _key(held, path[2]), 2
    if isinstance(holder, types.FunctionType) and held is holder.__closure__ and len(path) > 3:
        cells = [id(cell) for cell in holder.__closure__]
        return holder.__code__.co_freevars[cells.index(id(path[2]))], 3
    return _attribute(holder, held), 1


def _is_namespace(held: dict[Any, Any], holder: Any) -> bool:
    return isinstance(holder, type) or _namespace(holder) is held


def _namespace(thing: Any) -> Any:
    if type(thing) is threading.local:
        return vars(thing)
    with suppress(AttributeError, TypeError):
        return object.__getattribute__(thing, "__dict__")
    return None


def _key(held_in: Mapping[Any, Any], held: Any) -> str:
    """Return the name under which a namespace holds an object; what is no identifier stays out."""
    names = (key for key, value in [*held_in.items()] if value is held)
    return next((name for name in names if isinstance(name, str) and name.isidentifier()), "")


def _attribute(holder: Any, held: Any) -> str:
    """Return the attribute, or the variable of a frame, by which an object holds another."""
    return next((name for name, value in _attributes(holder) if value is held), "")


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
    """Return a built-in attribute of generators and coroutines; None of anything else."""
    generators = (types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType)
    return getattr(holder, name, None) if isinstance(holder, generators) else None


def _once(tokens: list[str]) -> list[str]:
    """Return tokens without repetitions: a chain of a thousand links is one link and dots."""
    kept: list[str] = []
    for token in tokens:
        if kept[-2:] == [token, token]:
            kept[-1] = "…"
        elif kept[-2:] != [token, "…"]:
            kept.append(token)
    half = _MOST_TOKENS // 2
    return kept if len(kept) <= _MOST_TOKENS else [*kept[:half], "…", *kept[-half:]]
