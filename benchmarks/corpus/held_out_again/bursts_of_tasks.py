"""Bursts of tasks that pass their results through a stream in memory and are all waited for."""

import anyio
from _work import benign


async def work(number, results):
    await anyio.sleep(0)
    async with results:
        await results.send(bytes(number))


async def step(_number, run):
    sending, receiving = anyio.create_memory_object_stream(8)
    async with anyio.create_task_group() as group, receiving:
        async with sending:
            for _ in range(1 + run.rng.randrange(run.params.most)):
                group.start_soon(work, run.rng.randrange(2000), sending.clone())
        async for _result in receiving:
            pass


scenario = benign(step, most=8, workloads=[{}, {"most": 30}])
