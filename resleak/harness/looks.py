"""Where replicates wait for each other until one decision is made for all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from resleak.harness.plan import Decide, Look

_PATIENCE_S = 0.2


class Meeting:
    """Brings the replicates of a variant together at each look.

    `others` waits for the instruments that name lines, and returns their captures; `slots` limits
    how many processes run at a time: one that waits here leaves its slot to another.
    """

    def __init__(
        self,
        labels: set[str],
        decide: Decide,
        others: Callable[[], list[Path]],
        slots: threading.Semaphore,
        stop: threading.Event,
    ) -> None:
        self._expected, self._decide, self._others = labels, decide, others
        self._slots, self._stop = slots, stop
        self._present: dict[str, tuple[Path, int, float]] = {}
        self._ended: list[Path] = []
        self._round, self._goes_on = 0, False
        self._changed = threading.Condition()

    def attend(self, label: str, folder: Path, steps: int, load_s: float) -> bool:
        """Wait for the others at a look; return whether all go on."""
        self._slots.release()
        try:
            with self._changed:
                self._present[label] = folder, steps, load_s
                this = self._round
                self._hold_if_complete()
                while self._round == this and not self._stop.is_set():
                    self._changed.wait(_PATIENCE_S)
                return self._goes_on and not self._stop.is_set()
        finally:
            self._slots.acquire()

    def leave(self, label: str, folder: Path | None) -> None:
        """Expect no more of a run that has ended, and has a capture unless it failed."""
        with self._changed:
            self._expected.discard(label)
            self._ended += [folder] if folder else []
            self._hold_if_complete()

    def _hold_if_complete(self) -> None:
        if not self._present or self._present.keys() < self._expected:
            return
        folders, steps, load_s = zip(*self._present.values(), strict=True)
        try:
            seen = [*folders, *self._ended]
            self._goes_on = self._decide(Look(max(steps), max(load_s), seen, self._others))
        except BaseException:
            self._goes_on = False
            raise
        finally:
            self._present = {}
            self._round += 1
            self._changed.notify_all()
