"""Tasks that end after some rounds of the loop: as many are in flight as come in that time."""

import asyncio

from _work import benign

in_flight = set()


async def work(rounds):
    for _ in range(rounds):
        await asyncio.sleep(0)


async def step(_number, run):
    for _ in range(run.rng.randrange(3)):
        task = asyncio.create_task(work(run.rng.randrange(1, run.params.most)))
        in_flight.add(task)
        task.add_done_callback(in_flight.discard)
    await asyncio.sleep(0)


scenario = benign(step, most=30, workloads=[{"most": 30}, {"most": 80}])


@scenario.gauge("tasks")
def running(_run):
    """Tasks in flight."""
    return len(in_flight)
