"""The task that waits for the end of the service is cancelled after each request.

Source: frequenz-floss/frequenz-channels-python#334 (its fix)
Environment: plain
Kind: clean
Truth: no count grows from step 6,565 to 12,000
"""

import asyncio

halted = None


async def setup():
    global halted
    halted = asyncio.Event()


async def answered(i):
    await asyncio.sleep(0)
    return i


async def step(i):
    request = asyncio.ensure_future(answered(i))
    end = asyncio.ensure_future(halted.wait())
    await asyncio.wait({request, end}, return_when=asyncio.FIRST_COMPLETED)
    end.cancel()
    return request.result()
