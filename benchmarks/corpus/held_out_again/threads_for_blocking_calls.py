"""Blocking calls from a loop, in threads that are kept for the next ones, up to a limit."""

import threading

import anyio
from _work import benign


async def step(number, run):
    calls = 1 + run.rng.randrange(run.params.most)
    together = threading.Barrier(calls)
    async with anyio.create_task_group() as group:
        for _ in range(calls):
            group.start_soon(anyio.to_thread.run_sync, together.wait)


scenario = benign(step, most=6, workloads=[{}, {"most": 12}])
