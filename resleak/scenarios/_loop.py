"""What the event loop keeps on its own, so that it is not taken for a leak."""

from __future__ import annotations

import asyncio

#: asyncio drops cancelled timers once more than this many are scheduled and half are cancelled.
_TIMERS_KEPT = 100


async def forget_cancelled_timers() -> None:
    """Make the loop drop its cancelled timers, such as those of timeouts that were not needed.

    It keeps a hundred of them. Until then they look like objects that leak, with their contexts.
    """
    loop = asyncio.get_running_loop()
    for _ in range(2 * _TIMERS_KEPT):
        loop.call_later(60, _nothing).cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def _nothing() -> None:
    pass
