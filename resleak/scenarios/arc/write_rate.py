"""A limit on requests per minute lets a burst through; bounding memory needs a limit on bytes held.

A hundred and twenty clients write 20 kB each to an ASGI endpoint, at once, over real connections.
Accepted writes are held until they are on disk.

- `leaky` accepts all: 2.4 MB in flight in every burst; 20 MB with the thousand clients of the
  document's testing plan, in a run by hand.
- `proposed`, the document's fix: 1 000 requests per minute from one address. Eight such bursts are
  within it, and so is one of a thousand clients: 2.4 MB in flight, as before. A client that has
  used it up cannot write for the rest of the minute, though nothing is in flight.
- `fixed` accepts as many bytes as it may hold, 0.4 MB here, and asks the others to come back: 503,
  Retry-After. Every write is stored, or its client is notified.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from resleak.scenarios import _servers
from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="003#21",
    claim="write endpoints have no rate limit: a flood of writes is held in memory",
    symptoms={"bytes_held": "broken"},
    outcome="reproduced",
    fix="insufficient",
    control="children",
    limits=[
        Limit("bytes_held", at_most=400_000, source="the memory allowed for writes in flight"),
        Limit("unaccounted", at_end=0, source="a write is stored, or its client is notified"),
    ],
    steps=6,
    warmup=2,
    block=1,
    params={"clients": 120, "size": 20_000, "per_minute": 1000, "budget": 400_000},
    soak={"clients": 1000},
    rlimits={"RLIMIT_NOFILE": 4096},
    requires=("uvicorn",),
    extra="arc",
    stacks=False,
)


class Endpoint:
    """Stores every write, and admits every client."""

    def __init__(self, run: Run) -> None:
        self.params, self.file = run.params, run.workdir / "writes.bin"
        self.held = self.most_held = self.stored = self.sent = 0
        self.disk, self.answers = asyncio.Lock(), Counter[int]()

    def admit(self, size: int) -> int:
        """Return the status for a write of that size: 204 if it is accepted."""
        return 204

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        size = int(dict(scope["headers"])[b"content-length"])
        status = self.admit(size)
        if status == 204:
            self.held += size
            self.most_held = max(self.most_held, self.held)
            await self._store(receive)
            self.held -= size
        headers = [] if status == 204 else [(b"retry-after", b"1")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _store(self, receive: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        async with self.disk:  # one writer of the log
            await asyncio.to_thread(self.file.write_bytes, body)
        self.stored += 1


class PerMinute(Endpoint):
    """Admits a number of requests per address and minute."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.began, self.requests = time.monotonic(), 0

    def admit(self, size: int) -> int:
        if time.monotonic() >= self.began + 60:
            self.began, self.requests = time.monotonic(), 0
        self.requests += 1
        return 204 if self.requests <= self.params.per_minute else 429


class Budget(Endpoint):
    """Admits as many bytes as may be held."""

    def admit(self, size: int) -> int:
        return 204 if self.held + size <= self.params.budget else 503


ENDPOINTS = {"leaky": Endpoint, "proposed": PerMinute, "fixed": Budget}


class Flood:
    """Clients that all write at once, each over a connection of its own."""

    def __init__(self, endpoint: Endpoint, address: str) -> None:
        self.endpoint, self.port = endpoint, int(address.rpartition(":")[2])
        size = endpoint.params.size
        head = f"POST /write HTTP/1.1\r\nhost: api\r\nconnection: close\r\ncontent-length: {size}"
        self.request = f"{head}\r\n\r\n".encode() + b"x" * size
        self.latencies = [0.0]

    async def write(self) -> None:
        began = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(self.request)
        answer = await reader.read()
        self.latencies.append(time.perf_counter() - began)
        self.endpoint.answers[int(answer.split(maxsplit=2)[1])] += 1
        writer.close()
        await writer.wait_closed()


@scenario.setup
async def flood(run: Run) -> AsyncIterator[Flood]:
    endpoint = ENDPOINTS[run.variant](run)
    async with _servers.in_process(endpoint) as address:
        yield Flood(endpoint, address)


@scenario.gauge("B", kind="measure")
def bytes_held(flood: Flood) -> float:
    """Most bytes of writes in flight at once, since the start."""
    return flood.endpoint.most_held


@scenario.gauge("s", kind="measure")
def latency_p50(flood: Flood) -> float:
    """Median time to the answer of the burst's writes."""
    return percentile(flood.latencies, 0.50)


@scenario.gauge("s", kind="measure")
def latency_p95(flood: Flood) -> float:
    """95th percentile of the time to the answer of the burst's writes."""
    return percentile(flood.latencies, 0.95)


@scenario.gauge("s", kind="measure")
def latency_p99(flood: Flood) -> float:
    """99th percentile of the time to the answer of the burst's writes."""
    return percentile(flood.latencies, 0.99)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[round(share * (len(values) - 1))]


@scenario.gauge("writes", kind="counter")
def unaccounted(flood: Flood) -> float:
    """Writes that were neither stored nor refused."""
    answers = flood.endpoint.answers
    return flood.endpoint.sent - flood.endpoint.stored - answers[429] - answers[503]


@scenario.variant("leaky", expect={"bytes_held": "broken"})
@scenario.variant("proposed", expect={"bytes_held": "broken"})
@scenario.variant("fixed")
async def burst(_step: int, flood: Flood) -> None:
    """Have all clients write at once."""
    flood.latencies.clear()
    async with asyncio.TaskGroup() as clients:
        for _ in range(flood.endpoint.params.clients):
            flood.endpoint.sent += 1
            clients.create_task(flood.write())
