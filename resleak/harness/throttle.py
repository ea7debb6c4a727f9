"""Keep the cost of looking at a process small: what is dear is done as rarely as it has to be."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Ration:
    """Lets something happen only as often as a share of one core pays for.

    Parameters
    ----------
    share : float
        Processor time over time, such as 0.001.
    """

    def __init__(self, share: float) -> None:
        self._share, self._next_s = share, 0.0

    @property
    def due(self) -> bool:
        """Whether what it cost the last time has been paid for."""
        return time.monotonic() >= self._next_s

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Take down what the block costs; it is due again when that has been paid for."""
        began = time.process_time()
        yield
        self._next_s = time.monotonic() + (time.process_time() - began) / self._share
