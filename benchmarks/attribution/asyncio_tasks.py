"""Tasks that wait for ever, and are kept by a list."""

import asyncio

from _beside import beside

tasks = []


async def forever(body):
    await asyncio.Event().wait()  # leak
    return body


async def leak(step, size):
    tasks.append(asyncio.create_task(forever(bytes(size))))  # leak
    await asyncio.sleep(0)


scenario = beside(leak, natural=1450)
