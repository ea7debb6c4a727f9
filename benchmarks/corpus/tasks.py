"""Tasks that are started, wait for each other and end."""

import asyncio

from _work import benign


async def step(number, _run):
    await asyncio.gather(*(asyncio.sleep(0, number) for _ in range(10)))


scenario = benign(step)
