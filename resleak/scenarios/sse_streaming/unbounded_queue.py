"""An unbounded queue keeps every event for a client that does not read.

A task sends events of about 1 kB to two clients: one reads all, one has stopped reading. Ten
thousand events in 250 steps, as in the document.

- `leaky`: the slow client's queue keeps them all, 1.6 kB each on the heap: 16 MB. (The document
  expects "~9.77 MB"; its own formula, 1 000 B per event, prints 9.54.)
- `proposed`: `add_client` replaces the client's queue with a bounded one of its own, which the
  client never sees: 0 of 10 000 events reach the reading client. Both queues fill, and both clients
  are dropped as slow. Memory is safe because nothing is delivered: harmful.
- `proposed_with_fix_2_3`: the client's own queue is bounded, as in fix 2.3, which the document
  plans for its second phase. Then nothing is swapped, and all events arrive.
- `fixed`, ours: the client creates the bounded queue, and a client whose queue is full is dropped,
  by policy, without waiting for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="004 2.1",
    claim="a slow client's queue grows without bound: it keeps all of 10,000 events",
    condition="a client that does not read. The fix as the document ships it, before fix 2.3, with "
    "which every event arrives; judged with a second client that reads (ours)",
    language="Python",
    symptoms={"queue_length": "leak", "heap": "leak"},
    outcome="reproduced",
    fix="harmful",
    gauges=("heap",),
    control="fds",
    limits=[Limit("undelivered", at_end=0, source="a client that reads receives every event")],
    steps=200,
    warmup=50,
    params={"events_per_step": 40, "event_size": 1000, "client_queue": 0, "queue_limit": 100},
)
Event = dict[str, Any]
Queue = asyncio.Queue[Event]


class StreamTask:
    """Sends events to its clients' queues; the original version."""

    def __init__(self, queue_limit: int) -> None:
        self._clients: set[Queue] = set()
        self.max_queue_size, self.sent = queue_limit, 0

    async def add_client(self, queue: Queue) -> None:
        self._clients.add(queue)

    async def send_event(self, event_type: str, data: dict[str, Any]) -> None:
        self.sent += 1
        event = {"type": event_type, "data": data, "timestamp": datetime.now(UTC).isoformat()}
        await self._send(event)
        await asyncio.sleep(0)  # reading clients get their turn

    async def _send(self, event: Event) -> None:
        for queue in self._clients:
            await queue.put(event)


class ProposedTask(StreamTask):
    """The document's fix: swaps in a bounded queue, and gives up on a full one after 0.1 s."""

    async def add_client(self, queue: Queue) -> None:
        if queue.maxsize == 0:
            queue = asyncio.Queue(maxsize=self.max_queue_size)
        self._clients.add(queue)

    async def _send(self, event: Event) -> None:
        if self._clients:
            await asyncio.gather(*[self._put(queue, event) for queue in list(self._clients)])

    async def _put(self, queue: Queue, event: Event) -> None:
        try:
            await asyncio.wait_for(queue.put(event), timeout=0.1)
        except TimeoutError:
            self._clients.discard(queue)


class FixedTask(StreamTask):
    """Drops a client whose own bounded queue is full."""

    async def _send(self, event: Event) -> None:
        for queue in list(self._clients):
            try:
                queue.put_nowait(event)
            except asyncio.QueueFull:
                self._clients.discard(queue)


TASKS = {"leaky": StreamTask, "proposed": ProposedTask, "fixed": FixedTask}


class Stream:
    """A task, a client that reads and one that does not."""

    def __init__(self, run: Run) -> None:
        self.task = TASKS[run.variant.split("_")[0]](run.params.queue_limit)
        self.params, self.received = run.params, 0
        self.fast: Queue = asyncio.Queue(run.params.client_queue)
        self.slow: Queue = asyncio.Queue(run.params.client_queue)

    async def read(self) -> None:
        while True:
            await self.fast.get()
            self.received += 1


@scenario.setup
async def stream(run: Run) -> AsyncIterator[Stream]:
    stream = Stream(run)
    reader = asyncio.create_task(stream.read())
    for queue in (stream.fast, stream.slow):
        await stream.task.add_client(queue)
    yield stream
    reader.cancel()
    with suppress(asyncio.CancelledError):
        await reader


@scenario.gauge("events")
def queue_length(stream: Stream) -> float:
    """Events in the slow client's queue."""
    return stream.slow.qsize()


@scenario.gauge("events", kind="counter")
def undelivered(stream: Stream) -> float:
    """Events sent that the reading client has not received."""
    return stream.task.sent - stream.received


@scenario.variant("leaky", expect={"queue_length": "leak", "heap": "leak"}, origin="document code")
@scenario.variant("proposed", expect={"undelivered": "broken"}, origin="document code")
@scenario.variant("proposed_with_fix_2_3", client_queue=100)
@scenario.variant("fixed", client_queue=100)
async def send(_step: int, stream: Stream) -> None:
    """Send a burst of events."""
    for number in range(stream.params.events_per_step):
        data = {"iteration": number, "data": "x" * stream.params.event_size}
        await stream.task.send_event("spam", data)
    while stream.fast.qsize():
        await asyncio.sleep(0)
