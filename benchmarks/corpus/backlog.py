"""Work that comes in faster than it is done; the rest is done once no more comes."""

import asyncio

from _work import benign

waiting = set()


async def work(seconds, body):
    await asyncio.sleep(seconds)
    return body


async def step(_number, run):
    task = asyncio.create_task(work(run.params.seconds, bytes(run.params.body)))
    waiting.add(task)
    task.add_done_callback(waiting.discard)
    await asyncio.sleep(0)


scenario = benign(step, seconds=0.03, body=100, workloads=[{"seconds": 0.03}, {"seconds": 0.005}])


@scenario.gauge("tasks")
def in_flight(_run):
    """Tasks in flight."""
    return len(waiting)
