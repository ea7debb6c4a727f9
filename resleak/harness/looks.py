"""What the replicates of a variant decide together: to go on, and how many steps to take."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from resleak.captures.raw import shortened
from resleak.harness.plan import Decide, Look

_PATIENCE_S = 0.2
#: Fewest measured steps: enough to prove that a count grows in each of them.
_FEWEST = 15
#: Seconds per step up to which starting the processes takes longer than all steps.
_QUICK_S = 1e-3


class Slots:
    """Limits how many processes run at a time; one that waits or rests leaves its slot."""

    def __init__(self, count: int) -> None:
        self._free, self._taken = threading.Semaphore(count), set[str]()

    def take(self, label: str, timeout_s: float | None = None) -> bool:
        """Take a slot for a run, unless it has one; return False if none is free in time."""
        if label not in self._taken and self._free.acquire(timeout=timeout_s):
            self._taken.add(label)
        return label in self._taken

    def leave(self, label: str) -> None:
        """Leave the slot of a run, if it has one."""
        with suppress(KeyError):
            self._taken.remove(label)
            self._free.release()


class Meeting:
    """Brings the replicates of a variant together at each look.

    `others` waits for the instruments that name lines, and returns their captures.
    """

    def __init__(
        self,
        labels: set[str],
        decide: Decide,
        others: Callable[[], list[Path]],
        slots: Slots,
        stop: threading.Event,
    ) -> None:
        self._expected, self._decide, self._others = labels, decide, others
        self._slots, self._stop = slots, stop
        self._present: dict[str, tuple[Callable[[], Path], int, float]] = {}
        self._ended: list[Path] = []
        #: Steps up to which all go on.
        self._round, self._agreed = 0, 0
        self._changed = threading.Condition()

    def attend(self, label: str, store: Callable[[], Path], steps: int, load_s: float) -> bool:
        """Wait for the others at a look; return whether all go on."""
        if steps < self._agreed:
            return True
        self._slots.leave(label)
        with self._changed:
            self._present[label] = store, steps, load_s
            this = self._round
            self._hold_if_complete()
            while self._round == this and not self._stop.is_set():
                self._changed.wait(_PATIENCE_S)
            goes_on = self._agreed > steps and not self._stop.is_set()
        return goes_on and self._slots.take(label)

    def leave(self, label: str, folder: Path | None) -> None:
        """Expect no more of a run that has ended, and has a capture unless it failed."""
        with self._changed:
            self._expected.discard(label)
            self._ended += [folder] if folder else []
            self._hold_if_complete()

    def _hold_if_complete(self) -> None:
        if not self._present or self._present.keys() < self._expected:
            return
        stores, steps, load_s = zip(*self._present.values(), strict=True)

        def stored() -> list[Path]:
            return [*(store() for store in stores), *self._ended]

        try:
            look = Look(max(steps), max(load_s), stored, self._others)
            self._agreed = 0
            self._agreed = look.steps * self._decide(look)
        finally:
            self._present = {}
            self._round += 1
            self._changed.notify_all()


class Pace:
    """The number of halvings of a variant's steps, set by its first run, to fit its budget.

    `rounds` is the number of runs that follow each other; others run in parallel.
    """

    def __init__(self, budget_s: float | None, rounds: int) -> None:
        self._budget_s, self._rounds = budget_s or math.inf, rounds
        self._halvings: int | None = None
        self._lock = threading.Lock()

    def halvings(self, step_s: float, steps: int, warmup: int) -> int:
        """Return the number of halvings, given the seconds per step and the planned steps."""
        with self._lock:
            if self._halvings is None:
                self._halvings = 0
                while step_s > _QUICK_S and steps >> self._halvings + 1 >= _FEWEST:
                    measured, before, _ = shortened(steps, warmup, 1, self._halvings)
                    if self._rounds * step_s * (measured + before) <= self._budget_s:
                        break
                    self._halvings += 1
            return self._halvings
