"""Read files of unknown origin: sizes are bounded and types checked once, here."""

from __future__ import annotations

import json
import math
import os
import stat
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from resleak.errors import StoreError

#: Size of the largest JSON file, bytes; parsed, it can take 25 times as much memory.
JSON_BYTES = 4 << 20
#: Deepest nesting of JSON: a manifest of ours has 5 levels.
JSON_DEPTH = 16
#: What damaged values raise where they are used.
_WRONG = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_Builder = Callable[[Any, tuple[str, ...]], Any]


def opened(path: Path) -> IO[bytes]:
    """Open a regular file to read; StoreError for any other, and OSError as from `open`."""
    # Opening a pipe would wait for a writer; a device has no end.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return open(descriptor, "rb")
    os.close(descriptor)
    raise StoreError(f"{_shown(path)} is not a regular file")


def _read(file: IO[bytes], limit: int) -> bytes:
    """Return what a file has, up to one byte more than the limit."""
    size = os.fstat(file.fileno()).st_size  # memory for all that is asked for is reserved
    return file.read(min(size, limit) + 1)


def content(path: Path, limit: int) -> bytes:
    """Return the bytes of a regular file of at most `limit` bytes, or raise StoreError."""
    try:
        with opened(path) as file:
            data = _read(file, limit)
    except FileNotFoundError:
        raise StoreError(f"{_shown(path)} is missing") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoreError(f"{_shown(path)} cannot be read: {reason}") from None
    if len(data) > limit:
        raise StoreError(f"{_shown(path)} is larger than {limit >> 20} MiB")
    return data


def written(path: Path, limit: int = 1 << 30) -> bytes | None:
    """Return what a measured process wrote into a file of its run; None if it wrote none."""
    try:
        with opened(path) as file:
            data = _read(file, limit)
    except OSError:
        return None
    except StoreError:
        raise damaged(path.name) from None
    if len(data) > limit:
        raise damaged(path.name)
    return data


def _shown(path: Path) -> str:
    text = str(path)
    return text if len(text) <= 300 and text.isprintable() else repr(text[:300])


def parsed(text: bytes) -> Any:
    """Return JSON as plain values, or raise ValueError: no NaN, no deep nesting."""
    try:
        value = json.loads(text.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _check(value)
    return value


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """Turn whatever comes of decoding what a measured process wrote into a StoreError."""
    try:
        yield
    except _WRONG as error:
        raise damaged(name) from error


def damaged(name: str) -> StoreError:
    """Return the error for a file of a run that the workload may have written to."""
    return StoreError(f"{name} is damaged: the workload may have written to it; capture it again")


def build(kind: Any, value: Any) -> Any:
    """Return a JSON value as an instance of a type, or raise ValueError that names the place."""
    return _builder(kind)(value, ())


@cache
def _builder(kind: Any) -> _Builder:
    """Return the function that checks and converts values to a type."""
    origin, inner = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return _instance_builder(kind)
    if origin is Literal:
        return lambda value, where: (
            value
            if isinstance(value, str) and value in inner
            else _wrong(where, f"one of {', '.join(inner)}", value)
        )
    if origin in (Union, types.UnionType):
        builders = [_builder(one) for one in inner if one is not type(None)]
        by_type = {type(None): _as_it_is} if type(None) in inner else {}
        by_type |= {one: _as_it_is for one in inner if one in (str, int, float, bool)}
        return lambda value, where: by_type.get(type(value), builders[0])(value, where)
    if origin in (list, tuple):
        item_of = _builder(inner[0])
        return lambda value, where: (
            origin(item_of(item, (*where, str(i))) for i, item in enumerate(value))
            if isinstance(value, list)
            else _wrong(where, "a list", value)
        )
    if origin is dict:
        value_of = _builder(inner[1])
        return lambda value, where: (
            {key: value_of(item, (*where, key)) for key, item in value.items()}
            if isinstance(value, dict)
            else _wrong(where, "a mapping", value)
        )
    return _as_it_is if kind is Any else _plain_builder(kind)


def _as_it_is(value: Any, _where: tuple[str, ...]) -> Any:
    return value


def _plain_builder(kind: type) -> _Builder:
    expected = {str: "a text", bool: "true or false"}.get(kind, "a number")

    def build_plain(value: Any, where: tuple[str, ...]) -> Any:
        fits = type(value) is kind or (kind is float and type(value) is int)
        if not fits or (type(value) is int and abs(value) >= 2**63):
            _wrong(where, expected, value)
        return value

    return build_plain


def _instance_builder(kind: Any) -> _Builder:
    hints, wanted = get_type_hints(kind), [one for one in fields(kind) if one.init]
    builders = {one.name: _builder(hints[one.name]) for one in wanted}
    required = {
        one.name for one in wanted if one.default is MISSING and one.default_factory is MISSING
    }

    def build_instance(value: Any, where: tuple[str, ...]) -> Any:
        if not isinstance(value, dict):
            _wrong(where, "a mapping", value)
        if missing := required - value.keys():
            raise ValueError(f"says nothing of {', '.join(sorted(missing))}")
        known = {
            name: builder(value[name], (*where, name))
            for name, builder in builders.items()
            if name in value
        }
        try:
            return kind(**known)
        except Exception as error:  # a dataclass that checks itself, such as `Limit`
            raise ValueError(": ".join(filter(None, (".".join(where), str(error))))) from None

    return build_instance


def _check(value: Any) -> None:
    """Raise ValueError for nesting, numbers and texts that later code does not expect."""
    level, depth = [value], 0
    while level:
        if depth > JSON_DEPTH:
            raise ValueError(f"it is nested more than {JSON_DEPTH} levels deep")
        following: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                following += item.keys()
                following += item.values()
            elif isinstance(item, list):
                following += item
            elif isinstance(item, float) and not math.isfinite(item):
                raise ValueError("a number in it is too large")
            elif isinstance(item, str):
                item.encode()  # a lone surrogate is a ValueError
        level, depth = following, depth + 1


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _wrong(where: tuple[str, ...], expected: str, value: Any) -> NoReturn:
    text = repr(value) if isinstance(value, (str, int, float)) else type(value).__name__
    place = ".".join(where)[-60:] or "it"
    raise ValueError(f"{place} must be {expected}, not {text[:40]}")
