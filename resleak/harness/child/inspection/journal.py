"""A record that a process writes down again and again, and that outlives a kill at any moment."""

from __future__ import annotations

import json
import mmap
import os
import struct
from pathlib import Path
from typing import Any

#: Which half is valid, and how many bytes of it.
_HEADER = struct.Struct("<QQ")
_HALF = 1024**2


class Slate:
    """A JSON text in a shared file map.

    Writing needs neither a descriptor nor the disk, so that it works after the code under study
    has used up or closed its descriptors. The two halves take turns: a reader sees one text whole.

    Parameters
    ----------
    path : Path
        The file to map; it is created.
    """

    def __init__(self, path: Path) -> None:
        size = _HEADER.size + 2 * _HALF
        with path.open("wb+") as file:
            file.truncate(size)
            self._map = mmap.mmap(file.fileno(), size)
        self._half, self._owner = 0, os.getpid()

    def write(self, record: Any) -> bool:
        """Write a record down; False if it is too long, or this is a forked child."""
        text = json.dumps(record).encode()
        if len(text) > _HALF or os.getpid() != self._owner:
            return False
        self._half = 1 - self._half
        start = _HEADER.size + self._half * _HALF
        self._map[start : start + len(text)] = text
        self._map[: _HEADER.size] = _HEADER.pack(self._half, len(text))
        return True


def read(path: Path) -> dict[str, Any]:
    """Return the last record that was written down whole; empty if there is none."""
    try:
        data = path.read_bytes()
        half, length = _HEADER.unpack_from(data)
        start = _HEADER.size + half * _HALF
        return dict(json.loads(data[start : start + length]))
    except (OSError, ValueError, struct.error):
        return {}
