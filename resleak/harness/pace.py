"""Reduce the number of steps if they are slow, so that a capture fits its budget."""

from __future__ import annotations

import math
from threading import Lock

from resleak.captures.raw import shortened

#: Fewest measured steps: enough to prove that a count grows in each of them.
_FEWEST = 15
#: Seconds per step up to which starting the processes takes longer than all steps.
_QUICK_S = 1e-3


class Pace:
    """The number of halvings of a variant's steps, set by its first run.

    `rounds` is the number of runs that follow each other; others run in parallel.
    """

    def __init__(self, budget_s: float | None, rounds: int) -> None:
        self._budget_s, self._rounds = budget_s or math.inf, rounds
        self._halvings: int | None = None
        self._lock = Lock()

    def halvings(self, step_s: float, steps: int, warmup: int) -> int:
        """Return the number of halvings, given the seconds per step and the planned steps."""
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
