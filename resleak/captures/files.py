"""Files that a reader sees whole or as they were before."""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from resleak.captures.locks import temporary_folder


@contextmanager
def atomic(path: Path, put: Callable[[Path, Path], None] = os.replace) -> Iterator[Path]:
    """Yield a new name beside a file, and let it take the file's place when the block ends well.

    What is no file, such as ``/dev/stdout``, is written to, and stays what it is.
    """
    if put is os.replace and _is_device(path):
        with temporary_folder() as folder:
            temporary = folder / path.name
            yield temporary
            with temporary.open("rb") as content, path.open("wb") as device:
                shutil.copyfileobj(content, device)
        return
    temporary = path.with_name(f".{path.name[:80]}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        put(temporary, path)
    except OSError as error:  # a full disk names no file
        error.filename = error.filename or str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def put_new(temporary: Path, path: Path) -> None:
    """Put a file into a place that is free, or raise FileExistsError; for `atomic`."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        os.rename(temporary, path)


def _is_device(path: Path) -> bool:
    is_listed = path.absolute().parts[1:2] in (("dev",), ("proc",)) and path.is_symlink()
    return is_listed or (path.exists() and not path.is_file() and not path.is_dir())


def write(path: Path, content: str | bytes, put: Callable[[Path, Path], None] = os.replace) -> None:
    """Write a file by `atomic`, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode(errors="replace") if isinstance(content, str) else content
    with atomic(path, put) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write plain values as JSON."""
    write(path, json.dumps(to_json(value), indent=1, ensure_ascii=False) + "\n")


def to_json(value: Any) -> Any:
    """Return a value as JSON can hold it: numbers of numpy as Python's, NaN as None."""
    if value is None or isinstance(value, (str, int)):  # most are
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if is_dataclass(value):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    return to_json(value.item()) if hasattr(value, "item") else value
