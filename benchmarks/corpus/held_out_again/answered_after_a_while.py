"""Requests that wait by their number, and are answered after a random number of steps."""

import asyncio

from _work import benign

pending, due = {}, {}


async def step(number, run):
    loop = asyncio.get_running_loop()
    for index in range(run.rng.randint(1, run.params.most)):
        pending[number, index] = loop.create_future()
        due.setdefault(number + run.rng.randint(1, run.params.wait), []).append((number, index))
    for key in due.pop(number, ()):
        pending.pop(key).set_result(key)
    await asyncio.sleep(0)


scenario = benign(step, most=3, wait=40, workloads=[{}, {"most": 10, "wait": 15}])


@scenario.gauge("requests")
def unanswered(_run):
    """Requests that wait for their answer."""
    return len(pending)
