"""The task that waits for the end of the service is never cancelled.

Source: frequenz-floss/frequenz-channels-python#334, estuary/connectors#3081
Environment: plain
Kind: leaky
Rates: tasks 1, objects 7, blocks 8
Truth: counted from step 6,565 to 12,000; also per step: anonymous 999 B
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
    return request.result()
