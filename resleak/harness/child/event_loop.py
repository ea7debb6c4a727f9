"""The parts of a run that need an event loop; asyncio takes long to load, and is loaded here."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Coroutine
from typing import Any


def runner() -> asyncio.Runner:
    """Return a loop of its own, for a plain function that returns awaitables."""
    return asyncio.Runner()


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end in a new loop."""
    asyncio.run(coroutine)


async def pause(seconds: float) -> None:
    """Let the loop run for a while."""
    await asyncio.sleep(seconds)


async def settle() -> None:
    """Forget timers that were cancelled, and let callbacks run that are due: closed transports."""
    _forget_cancelled_timers()
    for _ in range(3):
        await asyncio.sleep(0)


def _forget_cancelled_timers() -> None:
    """Remove cancelled timers, such as those of timeouts that were not needed, from the loop."""
    # asyncio keeps up to a hundred of them, with their contexts, until they are due: objects that
    # accumulate slowly and look like a leak.
    loop: Any = asyncio.get_running_loop()
    scheduled = getattr(loop, "_scheduled", None)
    if scheduled is None:  # not asyncio's own loop
        return
    cancelled = [timer for timer in scheduled if timer.cancelled()]
    for timer in cancelled:
        timer._scheduled = False
    scheduled[:] = [timer for timer in scheduled if not timer.cancelled()]
    heapq.heapify(scheduled)
    loop._timer_cancelled_count = 0
