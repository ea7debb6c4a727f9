"""Measures of a single step: its duration, the loop's lag, its memory peak."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from resleak.errors import PlatformError, ScenarioError
from resleak.harness.child import self_gauges

#: Seconds between two beats of the loop: the detection limit of its lag.
_BEAT_S = 0.002
_KIB = 1024


class Meter:
    """Takes one measure of each step; `value` is that of the last one."""

    value = 0.0

    def before(self) -> None:
        """Begin a step."""

    def after(self) -> None:
        """End a step."""

    def running(self) -> AbstractAsyncContextManager[Any]:
        """Return a context to enter for as long as the meter is in use."""
        return nullcontext()


class _Duration(Meter):
    """Seconds that the step took."""

    def before(self) -> None:
        self._began = time.perf_counter()

    def after(self) -> None:
        self.value = time.perf_counter() - self._began


class _LoopLag(Meter):
    """Longest time in seconds that the event loop was busy while something else was due."""

    _due = 0.0

    def before(self) -> None:
        self.value, self._due = 0.0, max(self._due, time.monotonic())

    def after(self) -> None:
        # A beat that is still due counts.
        self.value = max(self.value, time.monotonic() - self._due)

    async def _beat(self) -> None:
        import asyncio  # loaded already, as there is a loop

        while True:
            self.after()
            self._due = time.monotonic() + _BEAT_S
            await asyncio.sleep(_BEAT_S)

    @asynccontextmanager
    async def running(self) -> Any:
        import asyncio

        self._due = time.monotonic()
        heart = asyncio.create_task(self._beat())
        yield
        heart.cancel()
        with suppress(asyncio.CancelledError):
            await heart


class _PeakMemory(Meter):
    """Bytes by which resident memory rose during the step, at most."""

    _status, _reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def before(self) -> None:
        self_gauges.trim_heap()  # freed memory must not hide what the step takes
        self._reset.write_text("5")
        self._base = self._peak()

    def after(self) -> None:
        self.value = self._peak() - self._base

    def _peak(self) -> float:
        _, _, rest = self._status.read_text().partition("VmHWM:")
        return float(rest.split(maxsplit=1)[0]) * _KIB


METERS: dict[str, type[Meter]] = {"step_s": _Duration, "lag_s": _LoopLag, "step_peak": _PeakMemory}


def meters(wanted: Iterable[str], has_loop: bool) -> dict[str, Meter]:
    """Return the meters that a scenario names; raise if one cannot work here."""
    chosen = {name: METERS[name]() for name in METERS if name in set(wanted)}
    if "lag_s" in chosen and not has_loop:
        raise ScenarioError("lag_s is the lag of an event loop: make the step async")
    if "step_peak" in chosen and not _PeakMemory._reset.exists():
        raise PlatformError("step_peak needs /proc/self/clear_refs, which only Linux has")
    return chosen
