"""Decide at each look of a measurement whether it goes on: until every gauge is decided."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from resleak.experiments.clues import Clues
from resleak.harness.plan import Look
from resleak.workload.verdict_words import LEAK

if TYPE_CHECKING:
    from resleak.analysis.verdicts import VariantVerdict

#: Default budget of a measurement that goes on until it is decided, seconds.
BUDGET_S = 30.0
#: Growth of memory that looks like a leak is followed up to so many times the first steps, while
#: the load takes less than so many seconds: caches without a declared bound may fill by then.
_CONFIRM = ((4, 5.0), (16, 2.5))
#: Bytes up to which it is followed: all replicates hold as much at the same time.
_MOST_BYTES = 256 * 1024**2


@dataclass
class UntilDecided:
    """Goes on while a gauge is undecided, as far as the next look fits the budget.

    `budget_s` is counted from the start; the steps to a look take at most twice as long as those
    between the two looks before. `clues` gets the first verdict.
    """

    budget_s: float = BUDGET_S
    clues: Clues | None = None
    began: float = field(default_factory=time.monotonic)
    _first: int = 0
    _load_s: float = 0.0
    #: Bytes per step of what grows and may be a cache that fills; 0 if there is none.
    _fills: float = 0.0

    def __call__(self, look: Look) -> int:
        """Return up to how many times their steps the runs go on; 0 if they end."""
        self._first = self._first or look.steps
        took_s, self._load_s = look.load_s - self._load_s, look.load_s
        if time.monotonic() - self.began + 2 * took_s > self.budget_s:
            return 0
        if not self._fills:
            variant = _judged(look.stored())
            self._fills = _leaking_memory(variant)
            if self.clues and (self._fills or not _is_open(variant)):
                self.clues.verdict(variant, may_fill=self._fills > 0)
            if not self._fills:
                return 2 * _is_open(variant)
        for times, most_s in _CONFIRM:
            if look.steps < times * self._first and look.load_s < most_s and self._fits(2, look):
                is_quick = look.steps <= 4 * self._first and 4 * look.load_s < most_s
                return 4 if is_quick and self._fits(4, look) else 2
        # With the others, what has a declared bound is undecided instead.
        return 2 * _is_open(_judged([*look.stored(), *look.others()]))

    def _fits(self, times: int, look: Look) -> bool:
        """Return whether memory is enough for so many times the steps."""
        return times * look.steps * self._fills <= _MOST_BYTES


def _judged(folders: list[Path]) -> VariantVerdict:
    from resleak.analysis import verdicts
    from resleak.captures.frames import Capture, Captures

    judged = verdicts.judge(Captures(map(Capture, folders)))
    (variant,) = judged.variants.values()
    return variant


def _is_open(variant: VariantVerdict) -> bool:
    """Return True if there is no leak yet, and a gauge is undecided."""
    return variant.verdict != LEAK and bool(variant.undecided)


def _leaking_memory(variant: VariantVerdict) -> float:
    """Return the bytes per step that leak, at least 1 for objects; 0 if anything else leaks."""
    leaks = [one for one in variant.gauges if one.is_leak]
    if not leaks or any(one.family == "handles" for one in leaks):
        return 0.0
    return max([1.0, *(one.per_step for one in leaks if one.unit == "B")])
