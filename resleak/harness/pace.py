"""Fewer steps where they are slow, so that a capture takes no longer than it may."""

from __future__ import annotations

import math
from threading import Lock

from resleak.captures.raw import shortened

#: Fewest measured steps: of a count that grows with each of them they are proof.
_FEWEST = 15
#: Seconds of a step below which starting the processes takes longer than the steps.
_QUICK_S = 1e-3


class Pace:
    """How often the steps of all runs of a variant are halved; the first run that asks decides.

    `rounds` is how many runs take place one after the other.
    """

    def __init__(self, budget_s: float | None, rounds: int) -> None:
        self._budget_s, self._rounds = budget_s or math.inf, rounds
        self._halvings: int | None = None
        self._lock = Lock()

    def halvings(self, step_s: float, steps: int, warmup: int) -> int:
        """Return it for planned steps that take so many seconds each."""
        with self._lock:
            if self._halvings is None:
                self._halvings = 0
                is_slow = step_s > _QUICK_S
                while is_slow and self._takes_s(step_s, steps, warmup) > self._budget_s:
                    if steps >> self._halvings + 1 < _FEWEST:
                        break
                    self._halvings += 1
            return self._halvings

    def _takes_s(self, step_s: float, steps: int, warmup: int) -> float:
        return self._rounds * step_s * sum(shortened(steps, warmup, 1, self._halvings or 0)[:2])
