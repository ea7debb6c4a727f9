"""Ends of a stream in memory, one for each subscriber, that nobody closes."""

import math

import anyio
from _work import pair

sending, receiving = anyio.create_memory_object_stream(math.inf)


async def acquire(step, _size):
    subscriber = receiving.clone()
    await sending.send(step)
    await subscriber.receive()
    return subscriber


scenario = pair(
    acquire,
    lambda subscriber: subscriber.close(),
    leaks="open_ends",
    units=lambda _: {"open_ends": 1},
    workloads=[{}, {"pattern": "17th"}, {"pattern": "stairs", "noise": 20_000}],
)


@scenario.gauge("streams")
def open_ends(_world):
    """Open ends of the stream that receive."""
    return receiving.statistics().open_receive_streams
