"""Without a limit every connecting client is served, and memory grows linearly with their number.

A Django view looks up a task and streams its events. Each step connects as many clients as it says,
five at a time; they read an event or a refusal, and served ones stay until all have connected.

- `leaky`: all are served. The step's memory peak grows with the clients: 0.5 to 1.2 MB for 25, 7 to
  13 MB for 200, with both ends of each connection; 80 MB for 1 000 (`--profile soak`).
- `fixed`, the document's fix 2.3 with a limit of 20 (printed: 1 000): later clients get 503 with
  Retry-After before a stream is created. 200 clients take 0.5 to 2.1 MB, below the sweep's noise
  floor of 2 MiB. A stream counts until its response is closed, even when the client disconnects.
- `proposed_limit_1000`: the printed limit, which none of these reaches: memory grows as without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from resleak.scenarios import _django, _servers
from resleak.workload.scenario import Limit, Run, Scenario, Sweep

scenario = Scenario(
    seed="004 2.3",
    claim="many clients at once: memory grows linearly with connections, and nothing limits them",
    condition="more clients at once than the limit, 200 and 20 (ours; the printed 1,000 refuses "
    "none of its 1,000). Peaks below 2 MiB count as equal: with the fix all are (0.4 to 2.1 MB), "
    "without it up to 13 MB, with the clients' ends (ours). The block is read as counting a stream "
    "until it is closed, and the tuple as a 503 with Retry-After (both ours): as printed no stream "
    "is counted, and Django makes an error 500 of it",
    language="Python",
    symptoms={"step_peak": "scales", "over_limit": "broken"},
    outcome="reproduced",
    fix="holds",
    control="children",
    limits=[Limit("over_limit", at_end=0, source="refused = over the limit, with Retry-After")],
    sweeps=[
        Sweep("step_peak", "clients", floor=2_097_152, source="the limit keeps memory bounded")
    ],
    steps=12,
    warmup=4,
    block=4,
    params={"sizes": (25, 50, 100, 200), "limit": 20, "at_a_time": 5, "event_size": 1000},
    soak={"sizes": (125, 250, 500, 1000)},
    rlimits={"RLIMIT_NOFILE": 4096},
    requires=("django", "uvicorn"),
    extra="sse_streaming",
    stacks=False,
)
MESSAGE = "task of many clients"
REQUEST = b"GET /stream HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


class Flood:
    """A stream for many clients, the clients, and the number of refusals."""

    address: tuple[str, int]

    def __init__(self, run: Run) -> None:
        self.params, self.limited = run.params, run.variant != "leaky"
        self.active = self.size = self.over_limit = 0
        self.over = asyncio.Event()
        self.app = _django.application(stream=self.stream)

    async def stream(self, _request: Any) -> Any:
        from django.http import HttpResponse, StreamingHttpResponse

        from resleak.scenarios._streaming.models import StreamTask

        if self.limited and self.active >= self.params.limit:
            return HttpResponse("too many connections", status=503, headers={"Retry-After": "60"})
        self.active += 1
        task = await StreamTask.objects.aget(message=MESSAGE)
        response = StreamingHttpResponse(
            self.events(task.message), content_type="text/event-stream"
        )
        response._resource_closers.append(self.closed)
        return response

    async def create_task(self) -> None:
        from resleak.scenarios._streaming.models import StreamTask

        await StreamTask.objects.acreate(message=MESSAGE)

    def closed(self) -> None:
        self.active -= 1

    async def events(self, message: str) -> AsyncIterator[bytes]:
        queue = asyncio.Queue[bytes](100)
        queue.put_nowait(f"data: {message.ljust(self.params.event_size)}\n\n".encode())
        yield await queue.get()
        await self.over.wait()

    async def arrive(self) -> asyncio.StreamWriter | None:
        """Connect, read the first event, and return the open stream, or None if it was refused."""
        reader, writer = await asyncio.open_connection(*self.address)
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 503 " not in head or b"retry-after: 60" not in head.lower():
            await reader.readuntil(b"\n\n")
            return writer
        await reader.read()
        await leave(writer)
        return None

    async def arrivals(self) -> list[asyncio.StreamWriter]:
        served: list[asyncio.StreamWriter] = []
        for _ in range(0, self.size, self.params.at_a_time):
            arrived = await asyncio.gather(*[self.arrive() for _ in range(self.params.at_a_time)])
            served += [writer for writer in arrived if writer is not None]
        return served


async def leave(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


@scenario.setup
async def flood(run: Run) -> AsyncIterator[Flood]:
    flood = Flood(run)
    await _django.migrate()
    await flood.create_task()
    async with _servers.in_process(flood.app) as address:
        host, port = address.removeprefix("http://").split(":")
        flood.address = (host, int(port))
        yield flood


@scenario.gauge("clients", kind="measure")
def clients(flood: Flood) -> float:
    """Clients in this step."""
    return flood.size


@scenario.gauge("clients", kind="counter")
def over_limit(flood: Flood) -> float:
    """Clients over the limit that were not refused, or refused below it."""
    return flood.over_limit


@scenario.variant(
    "leaky", expect={"step_peak": "scales", "over_limit": "broken"}, origin="document words"
)
@scenario.variant("fixed", origin="document words")
@scenario.variant("proposed_limit_1000", expect={"step_peak": "scales"}, limit=1000)
async def connect(step: int, flood: Flood) -> None:
    """Connect many clients."""
    sizes = flood.params.sizes
    flood.size = sizes[step % len(sizes)]
    flood.over.clear()
    served = await flood.arrivals()
    flood.over_limit += abs(len(served) - min(flood.size, flood.params.limit))
    flood.over.set()
    for writer in served:
        await leave(writer)
    while flood.active:
        await asyncio.sleep(0)
