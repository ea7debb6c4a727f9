"""Timeouts are cancelled; the loop removes cancelled ones when there are more than 100.

Source: MagicStack/uvloop#240 (the same use of asyncio's loop)
Environment: plain
Kind: bounded
Full: 100
Truth: grows until about step 100, and no further until step 12,000
"""

import asyncio


async def step(i):
    timer = asyncio.get_running_loop().call_later(3600, print, i)
    await asyncio.sleep(0)
    timer.cancel()
