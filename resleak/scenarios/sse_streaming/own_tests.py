"""The document's two tests pass on its fixes, and their faults stay.

Each step runs both tests on fix 2.1 (bounded queues) and fix 2.2 (a client that is shut down), and
then looks for two faults of these fixes: a client with an unbounded queue receives nothing, and a
client that was cleaned up after one request refuses the next one.

- `leaky`, the tests as printed. The first brings a queue that is bounded already, and asks only
  that it has at most 10 events, which no `asyncio.Queue(maxsize=10)` can break. (On the original
  code it would wait for ever, so it does tell the two apart.) The second asks that a closed client
  refuses: that is the fault. Both pass, and both faults are there: 2 per step.
- `fixed`: tests of what a client sees. A reader of its own queue receives every event, and the
  second request works. Both fail on these fixes, so nothing is undetected.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="004 testing",
    claim="the two printed tests pass on fixes that deliver no event and refuse the second request",
    condition="always: neither test looks at what a client receives",
    language="Python",
    claimed_by="ours",
    symptoms={"undetected": "broken"},
    outcome="reproduced",
    control="fds",
    limits=[Limit("undetected", at_end=0, source="a test fails where its fix does")],
    steps=20,
    warmup=5,
    block=5,
    params={"events": 100},
    requires=("httpx",),
    extra="sse_streaming",
    stacks=False,
)
Queue = asyncio.Queue[int]


class StreamTask:
    """Fix 2.1 as printed."""

    max_queue_size = 100

    def __init__(self) -> None:
        self._clients = set[Queue]()

    async def add_client(self, queue: Queue) -> None:
        if queue.maxsize == 0:
            queue = asyncio.Queue(maxsize=self.max_queue_size)
        self._clients.add(queue)

    async def send_event(self, event: int) -> None:
        await asyncio.gather(*[self._put(queue, event) for queue in list(self._clients)])

    async def _put(self, queue: Queue, event: int) -> None:
        try:
            await asyncio.wait_for(queue.put(event), timeout=0.1)
        except TimeoutError:
            self._clients.discard(queue)


class StreamingClient:
    """Fix 2.2 as printed; `cleanup` is what it calls when a request has finished."""

    def __init__(self) -> None:
        self._shutdown = False
        self._client: Any = None

    @property
    def async_client(self) -> Any:
        import httpx

        if self._shutdown:
            raise RuntimeError("Client has been shut down")
        if self._client is None:
            self._client = httpx.AsyncClient(verify=False, trust_env=False)
        return self._client

    async def cleanup(self) -> None:
        self._shutdown = True
        if self._client is not None:
            await self._client.aclose()
            self._client = None


async def delivers(events: int, queue: Queue) -> bool:
    """Return whether a client that reads its own queue received every event."""
    task = StreamTask()
    await task.add_client(queue)
    received = 0
    for number in range(events):
        await task.send_event(number)
        while queue.qsize():
            queue.get_nowait()
            received += 1
    return received == events


async def refuses_after_cleanup() -> bool:
    client = StreamingClient()
    assert client.async_client
    await client.cleanup()
    try:
        return not client.async_client
    except RuntimeError:
        return True


async def printed_test_of_queues(events: int) -> bool:
    task, queue = StreamTask(), Queue(maxsize=10)
    await task.add_client(queue)
    for number in range(events):
        await task.send_event(number)
    return queue.qsize() <= 10


async def printed_test_of_clients(_events: int) -> bool:
    return await refuses_after_cleanup()


async def client_receives_everything(events: int) -> bool:
    return await delivers(events, Queue())


async def second_request_works(_events: int) -> bool:
    return not await refuses_after_cleanup()


Test = Callable[[int], Awaitable[bool]]


class Tests:
    """Counts faults that no test found."""

    def __init__(self, run: Run) -> None:
        self.events, self.undetected = run.params.events, 0

    async def run(self, of_queues: Test, of_clients: Test) -> None:
        has_faults = (not await delivers(self.events, Queue()), await refuses_after_cleanup())
        passed = (await of_queues(self.events), await of_clients(self.events))
        self.undetected += sum(f and p for f, p in zip(has_faults, passed, strict=True))


@scenario.setup
def tests(run: Run) -> Iterator[Tests]:
    yield Tests(run)


@scenario.gauge("faults", kind="counter")
def undetected(tests: Tests) -> float:
    """Faults of the fixes whose test passed."""
    return tests.undetected


@scenario.variant(expect={"undetected": "broken"}, origin="document code")
async def leaky(_step: int, tests: Tests) -> None:
    """Run the tests as printed."""
    await tests.run(printed_test_of_queues, printed_test_of_clients)


@scenario.variant()
async def fixed(_step: int, tests: Tests) -> None:
    """Run tests of what a client sees."""
    await tests.run(client_receives_everything, second_request_works)
