"""A limit on requests per minute ends a flood; a burst within it is still held in memory.

A hundred and twenty clients on one address write 20 kB each to an ASGI endpoint, at once, over real
connections, twelve times. Accepted writes are held until they are on disk.

- `leaky` accepts all, 440 more than the document would allow per minute.
- `proposed`, the document's fix: 1 000 requests per minute from one address; the others get 429.
- `leaky_memory`, `proposed_memory`: our question, whether that bounds the memory. It does not: each
  burst has 2.4 MB in flight, one of a thousand clients 20 MB, where 0.4 MB were allowed.
- `fixed`, ours, accepts as many bytes as it may hold, and asks the others to come back: 503,
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
    claim="write endpoints have no rate limit: a flood of writes is accepted",
    condition="more than 1,000 writes per minute from one address, here 1,440 within seconds; a "
    "burst within the limit is still held in memory",
    language="Python",
    symptoms={"over_rate": "broken"},
    outcome="reproduced",
    fix="holds",
    control="children",
    limits=[
        Limit("over_rate", at_end=0, source="the document: 1 000 requests per minute and address"),
        Limit("over_budget", at_end=0, source="our question: the memory for writes in flight"),
        Limit("unaccounted", at_end=0, source="a write is stored, or its client is notified"),
    ],
    steps=10,
    warmup=2,
    block=1,
    params={"clients": 120, "size": 20_000, "per_minute": 1000, "budget": 0},
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
        self.minute_began, self.this_minute, self.over_rate = time.monotonic(), 0, 0

    def admit(self, size: int) -> int:
        """Return the status for a write of that size: 204 if it is accepted."""
        return 204

    def accepted_this_minute(self) -> int:
        if time.monotonic() >= self.minute_began + 60:
            self.minute_began, self.this_minute = time.monotonic(), 0
        return self.this_minute

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        size = int(dict(scope["headers"])[b"content-length"])
        status = self.admit(size)
        if status == 204:
            self.this_minute = self.accepted_this_minute() + 1
            self.over_rate += self.this_minute > self.params.per_minute
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
    """Admits a number of writes per address and minute."""

    def admit(self, size: int) -> int:
        return 204 if self.accepted_this_minute() < self.params.per_minute else 429


class Budget(Endpoint):
    """Admits as many bytes as may be held."""

    def admit(self, size: int) -> int:
        return 204 if self.held + size <= self.params.budget else 503


ENDPOINTS = {
    **{"leaky": Endpoint, "leaky_memory": Endpoint},
    **{"proposed": PerMinute, "proposed_memory": PerMinute, "fixed": Budget},
}


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


@scenario.gauge("writes", kind="counter")
def over_rate(flood: Flood) -> float:
    """Writes accepted above the document's limit per minute."""
    return flood.endpoint.over_rate


@scenario.gauge("B", kind="counter")
def over_budget(flood: Flood) -> float:
    """Bytes in flight above the budget, where there is one."""
    budget = flood.endpoint.params.budget
    return float(max(0, flood.endpoint.most_held - budget)) if budget else 0.0


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


@scenario.variant("leaky", expect={"over_rate": "broken"}, origin="document words")
@scenario.variant(
    "leaky_memory", expect={"over_rate": "broken", "over_budget": "broken"}, budget=400_000
)
@scenario.variant("proposed", origin="document words")
@scenario.variant("proposed_memory", expect={"over_budget": "broken"}, budget=400_000)
@scenario.variant("fixed", budget=400_000)
async def burst(_step: int, flood: Flood) -> None:
    """Have all clients write at once."""
    flood.latencies.clear()
    async with asyncio.TaskGroup() as clients:
        for _ in range(flood.endpoint.params.clients):
            flood.endpoint.sent += 1
            clients.create_task(flood.write())
