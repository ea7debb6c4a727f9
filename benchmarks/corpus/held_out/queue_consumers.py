"""Consumers, one for each queue, that wait for more after the last message."""

import asyncio

from _work import pair


async def consume(queue):
    while body := await queue.get():
        len(body)


async def acquire(_step, size):
    queue = asyncio.Queue()
    consumer = asyncio.create_task(consume(queue))
    queue.put_nowait(bytes(size + 1))
    await asyncio.sleep(0)
    return consumer


scenario = pair(
    acquire,
    lambda consumer: consumer.cancel(),
    leaks="consumers",
    natural=2500,
    units=lambda _: {"consumers": 1},
    workloads=[
        {"rate": 2500.0},
        {"rate": 1000.0, "pattern": "17th", "beside": 5.0},
        {"rate": 5000.0, "pattern": "stairs"},
    ],
)


@scenario.gauge("tasks")
def consumers(_world):
    """Tasks of the loop."""
    return len(asyncio.all_tasks())
