"""Background tasks are held in a set, and finished ones are not discarded.

Source: letta-ai/letta#2823, BerriAI/litellm#7737
Environment: plain
Kind: leaky
Rates: objects 2, blocks 3
Truth: TODO
"""

import asyncio

background = set()


async def logged(number):
    await asyncio.sleep(0)
    return {"number": number}


async def step(i):
    background.add(asyncio.create_task(logged(i)))
    await asyncio.sleep(0.0002)
