"""Background tasks are held in a set, and finished ones are not discarded.

Source: letta-ai/letta#2823, BerriAI/litellm#7737
Environment: plain
Kind: leaky
Rates: objects 4, blocks 8
Truth: counted from step 3,362 to 6,506; also per step: malloc 253 B, anonymous 1,092 B
"""

import asyncio

background = set()


async def logged(number):
    await asyncio.sleep(0)
    return {"number": number}


async def step(i):
    background.add(asyncio.create_task(logged(i)))
    await asyncio.sleep(0.0002)
