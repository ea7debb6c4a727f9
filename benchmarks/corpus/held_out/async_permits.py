"""Permits that a cancelled request takes along."""

import asyncio

from _work import pair

MOST = 10_000
limiter = asyncio.Semaphore(MOST)


async def acquire(_step, _size):
    await limiter.acquire()
    await asyncio.sleep(0)


scenario = pair(
    acquire,
    lambda _: limiter.release(),
    leaks="in_use",
    units=lambda _: {"in_use": 1},
    workloads=[{"pattern": "17th"}, {"pattern": "100th"}, {"pattern": "late"}],
)


@scenario.gauge("permits")
def in_use(_world):
    """Permits in use."""
    return MOST - limiter._value
