"""Tasks that wait for something that never comes."""

import asyncio

from _work import pair


async def acquire(_step, _size):
    task = asyncio.create_task(asyncio.Event().wait())
    await asyncio.sleep(0)
    return task


scenario = pair(
    acquire,
    lambda task: task.cancel(),
    leaks="tasks",
    units=lambda _: {"tasks": 1},
    workloads=[{}, {"pattern": "17th"}, {"pattern": "late"}],
)


@scenario.gauge("tasks")
def tasks(_world):
    """Tasks of the loop."""
    return len(asyncio.all_tasks())
