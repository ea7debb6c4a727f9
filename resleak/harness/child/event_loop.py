"""What settles an event loop; asyncio takes long to load, and is loaded here."""

from __future__ import annotations

import asyncio
import heapq
from typing import Any


async def settle() -> None:
    """Forget timers that were cancelled, and let callbacks run that are due: closed transports."""
    # asyncio keeps up to a hundred cancelled timers, such as those of timeouts that were not
    # needed, with their contexts, until they are due: objects that accumulate slowly and look like
    # a leak.
    loop: Any = asyncio.get_running_loop()
    scheduled = getattr(loop, "_scheduled", None)
    if scheduled is not None:  # asyncio's own loop
        for timer in scheduled:
            if timer.cancelled():
                timer._scheduled = False
        scheduled[:] = [timer for timer in scheduled if not timer.cancelled()]
        heapq.heapify(scheduled)
        loop._timer_cancelled_count = 0
    for _ in range(3):
        await asyncio.sleep(0)
