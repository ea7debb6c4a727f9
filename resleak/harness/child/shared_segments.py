"""Count the shared-memory segments that this process made and that still have a name."""

from __future__ import annotations

import importlib
import os
from array import array
from contextlib import suppress
from typing import Any

#: Where Linux keeps them.
_FOLDER = "/dev/shm"
_MOST = 1 << 16


class _Segments:
    """The inodes of segments, in place: noting one must not add memory."""

    def __init__(self) -> None:
        self.inodes, self.noted, self.is_followed = array("Q"), 0, False

    def follow(self) -> None:
        """Note each segment from now on; nothing happens where there are none."""
        with suppress(ImportError):
            module: Any = importlib.import_module("_posixshmem")
            make, self.inodes = module.shm_open, array("Q", bytes(8 * _MOST))

            def shm_open(path: str, flags: int, mode: int = 0o777) -> int:
                descriptor: int = make(path, flags, mode=mode)
                if flags & os.O_CREAT and self.noted < _MOST:
                    self.inodes[self.noted] = os.fstat(descriptor).st_ino
                    self.noted += 1
                return descriptor

            module.shm_open = shm_open
            self.is_followed = os.path.isdir(_FOLDER)

    def count(self) -> float:
        """Return how many still have a name, and forget the others."""
        named = {entry.inode() for entry in os.scandir(_FOLDER)}
        left = 0
        for index in range(self.noted):
            if (inode := self.inodes[index]) in named:
                self.inodes[left] = inode
                left += 1
        self.noted = left
        return float(left)


SEGMENTS = _Segments()
