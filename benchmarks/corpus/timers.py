"""Timers set an hour ahead and not cancelled when the answer has come."""

import asyncio

from _work import pair


async def acquire(_step, size):
    return asyncio.get_running_loop().call_later(3600, bytes, size)


scenario = pair(
    acquire,
    lambda timer: timer.cancel(),
    leaks="objects",
    natural=250,
    workloads=[{"rate": 250.0}, {"rate": 50.0}],
)
