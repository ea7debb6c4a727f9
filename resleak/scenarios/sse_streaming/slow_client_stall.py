"""Waiting up to 0.1 s for each client slows every client down to the slowest one.

A task sends events to a fast client and to a slow one, which takes an event every 50 ms and whose
queue of 100 is full when the run begins. A step is one event.

- `leaky`, the document's fix 2.1: `send_event` waits for every client's `put`, for at most 0.1 s. A
  slow client makes room in time, so it is never dropped, and nothing else is sent until it does: 20
  events per second for all, 50 ms each.
- `leaky_stuck`: the timeout is meant for a client that reads nothing. It costs 0.1 s once, then the
  client is dropped, and an event takes 0.1 ms. So not every event waits 0.1 s.
- `fixed`: a client whose queue is full is dropped without waiting: 0.01 ms per event.

(The other fault of fix 2.1, a queue that its client never sees, is `unbounded_queue`.)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="004 fix 2.1",
    claim="waiting 0.1 s for each client slows all clients down to the slowest one",
    condition="queues that the clients read, as fix 2.3 brings them; one is full, and read slowly. "
    "A client that reads nothing costs 0.1 s once",
    language="Python",
    claimed_by="ours",
    symptoms={"step_s": "broken"},
    outcome="reproduced",
    control="fds",
    limits=[
        Limit("step_s", at_most=0.01, quantile=0.5, source="a fifth of the slow client's pace"),
        Limit("undelivered", at_end=0, source="a client that reads receives every event"),
    ],
    steps=40,
    warmup=5,
    params={"queue_limit": 100, "timeout_s": 0.1, "reads_every_s": 0.05},
    stacks=False,
)
Event = dict[str, Any]
Queue = asyncio.Queue[Event]


class StreamTask:
    """Sends events to its clients' queues, and waits briefly for each, as in fix 2.1."""

    def __init__(self, timeout_s: float) -> None:
        self._clients: set[Queue] = set()
        self.timeout_s, self.sent = timeout_s, 0

    def add_client(self, queue: Queue) -> None:
        self._clients.add(queue)

    async def send_event(self, event_type: str, data: Event) -> None:
        self.sent += 1
        await self._send(
            {"type": event_type, "data": data, "timestamp": datetime.now(UTC).isoformat()}
        )

    async def _send(self, event: Event) -> None:
        await asyncio.gather(*[self._put(queue, event) for queue in list(self._clients)])

    async def _put(self, queue: Queue, event: Event) -> None:
        try:
            await asyncio.wait_for(queue.put(event), self.timeout_s)  # stalls
        except TimeoutError:
            self._clients.discard(queue)


class FixedTask(StreamTask):
    """Drops a client whose queue is full."""

    async def _send(self, event: Event) -> None:
        for queue in list(self._clients):
            try:
                queue.put_nowait(event)
            except asyncio.QueueFull:
                self._clients.discard(queue)


class Stream:
    """A task, a fast client and a slow one."""

    def __init__(self, run: Run) -> None:
        self.params, self.received = run.params, 0
        task = FixedTask if run.variant == "fixed" else StreamTask
        self.task = task(run.params.timeout_s)
        self.fast, self.slow = (Queue(run.params.queue_limit) for _ in range(2))

    async def read(self) -> None:
        while True:
            await self.fast.get()
            self.received += 1

    async def read_slowly(self) -> None:
        while self.params.reads_every_s:
            await asyncio.sleep(self.params.reads_every_s)
            await self.slow.get()


@scenario.setup
async def stream(run: Run) -> AsyncIterator[Stream]:
    stream = Stream(run)
    stream.task.add_client(stream.slow)
    for number in range(run.params.queue_limit):
        await stream.task.send_event("progress", {"iteration": number})
    stream.task.add_client(stream.fast)
    stream.task.sent = 0
    readers = asyncio.gather(stream.read(), stream.read_slowly())
    yield stream
    readers.cancel()
    with suppress(asyncio.CancelledError):
        await readers


@scenario.gauge("events", kind="counter")
def undelivered(stream: Stream) -> float:
    """Events sent that the fast client has not received."""
    return stream.task.sent - stream.received


@scenario.variant("leaky", expect={"step_s": "broken"}, origin="document code")
@scenario.variant("leaky_stuck", reads_every_s=0)
@scenario.variant("fixed")
async def send(step: int, stream: Stream) -> None:
    """Send one event."""
    await stream.task.send_event("progress", {"iteration": step})
    while stream.fast.qsize():
        await asyncio.sleep(0)
