"""Subscribers of topics that are not taken out when their request ends."""

import asyncio
import collections

from _work import pair

topics = collections.defaultdict(set)


async def acquire(step, _size):
    name, mailbox = f"topic {step % 5}", asyncio.Queue(1)
    topics[name].add(mailbox)
    for subscriber in topics[name]:
        if not subscriber.full():
            subscriber.put_nowait(step)
    await mailbox.get()
    return name, mailbox


scenario = pair(
    acquire,
    lambda entry: topics[entry[0]].discard(entry[1]),
    leaks="subscribed",
    units=lambda _: {"subscribed": 1},
    workloads=[{}, {"pattern": "17th"}],
)


@scenario.gauge("subscribers")
def subscribed(_world):
    """Subscribers of all topics."""
    return sum(map(len, topics.values()))
