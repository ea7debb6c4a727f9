"""A record that is rewritten many times and survives a kill at any moment."""

from __future__ import annotations

import json
import mmap
import os
from pathlib import Path
from typing import Any

from resleak.captures.raw import JOURNAL_HALF, JOURNAL_HEADER


class Journal:
    """A JSON text in a shared file map."""

    def __init__(self, path: Path) -> None:
        # Writing needs neither a descriptor nor the disk, so it works after the studied code has
        # used up its descriptors. The halves alternate: a reader gets one text whole.
        size = JOURNAL_HEADER.size + 2 * JOURNAL_HALF
        with path.open("wb+") as file:
            file.truncate(size)
            self._map = mmap.mmap(file.fileno(), size)
        self._half, self._owner = 0, os.getpid()

    def write(self, record: Any) -> bool:
        """Write a record; False if it is too long, or this is a forked child."""
        text = json.dumps(record).encode()
        if len(text) > JOURNAL_HALF or os.getpid() != self._owner:
            return False
        self._half = 1 - self._half
        start = JOURNAL_HEADER.size + self._half * JOURNAL_HALF
        self._map[start : start + len(text)] = text
        self._map[: JOURNAL_HEADER.size] = JOURNAL_HEADER.pack(self._half, len(text))
        return True
