"""Throttle: limit sampling overhead to a share of one core."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Ration:
    """Allows an action as often as a share of one core pays for."""

    def __init__(self, share: float) -> None:
        self._share, self._next_s = share, 0.0

    @property
    def due(self) -> bool:
        """True once the cost of the last time has been paid for."""
        return time.monotonic() >= self._next_s

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Measure the cost of a block, which delays the next one."""
        began = time.process_time()
        yield
        self._next_s = time.monotonic() + (time.process_time() - began) / self._share
