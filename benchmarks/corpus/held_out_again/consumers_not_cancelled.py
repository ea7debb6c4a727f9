"""Consumers of a feed, one task for each, that go on waiting when their reader has left."""

import asyncio

from _work import pair


async def consume(feed, seen):
    while True:
        seen.append(await feed.get())
        del seen[:-5]


async def acquire(step, _size):
    feed, seen = asyncio.Queue(), []
    task = asyncio.create_task(consume(feed, seen))
    for number in range(8):
        feed.put_nowait((step, number))
    await asyncio.sleep(0)
    return task


scenario = pair(
    acquire,
    lambda task: task.cancel(),
    leaks="tasks",
    units=lambda _: {"tasks": 1},
    workloads=[{"pattern": "stairs"}, {"noise": 50_000, "beside": 2.0, "rate": 500.0}],
)


@scenario.gauge("tasks")
def tasks(_world):
    """Tasks of the loop."""
    return len(asyncio.all_tasks())
