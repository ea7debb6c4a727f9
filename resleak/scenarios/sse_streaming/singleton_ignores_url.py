"""A singleton client sends every request to the first address it was created for.

Ten servers, each of which answers with its own port; each step requests a stream from the next one
by its address, with or without a trailing slash. The clients are real httpx clients.

- `leaky`, as printed: `get_client(url)` creates one client, for the first address, and ignores
  later ones. 90 of 100 requests go to the wrong server. The document's own script calls it with ten
  hosts, and checks only the number of connections: that there is one is this fault, not thrift.
- `fixed`: one client per address, shared by all callers: no request is misdirected, there are ten
  clients for ten addresses, however they are written, and all are closed at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="004 2.2 get_client",
    claim="get_client(url) returns the client of the first url for every other one",
    condition='more than one address; one client is intended ("should all be same singleton")',
    language="Python",
    claimed_by="ours",
    symptoms={"misdirected": "broken"},
    outcome="reproduced",
    gauges=("fds",),
    control="threads",
    limits=[
        Limit("misdirected", at_end=0, source="a request reaches the address it was meant for"),
        Limit("clients", at_most=10, source="one client per address"),
    ],
    steps=80,
    warmup=20,
    params={"hosts": 10},
    requires=("httpx",),
    extra="sse_streaming",
    stacks=False,
)


class StreamingClient:
    """Reads streams from one server."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")
        self._client: Any = None

    @property
    def async_client(self) -> Any:
        import httpx

        if self._client is None:
            self._client = httpx.AsyncClient(timeout=60.0, trust_env=False)
        return self._client

    async def read(self, path: str) -> str:
        answer = await self.async_client.get(self.base_url + path)
        return str(answer.text)

    async def cleanup(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None


class Singleton:
    """The document's `get_client`: the first client, for every address."""

    def __init__(self) -> None:
        self.clients = list[StreamingClient]()

    def get_client(self, base_url: str) -> StreamingClient:
        if not self.clients:
            self.clients.append(StreamingClient(base_url))
        return self.clients[0]


class PerAddress(Singleton):
    """The first client for this address."""

    def get_client(self, base_url: str) -> StreamingClient:
        for client in self.clients:
            if client.base_url == base_url.rstrip("/"):
                return client
        self.clients.append(StreamingClient(base_url))
        return self.clients[-1]


REGISTRIES = {"leaky": Singleton(), "fixed": PerAddress()}


class Hosts:
    """Ten servers, and the clients that read from them."""

    def __init__(self, registry: Singleton) -> None:
        self.registry, self.misdirected = registry, 0
        self.ports: list[int] = []

    async def serve(self, stack: AsyncExitStack) -> None:
        server = await stack.enter_async_context(await asyncio.start_server(tell, "127.0.0.1", 0))
        self.ports.append(server.sockets[0].getsockname()[1])

    async def read(self, number: int, slash: str) -> None:
        port = self.ports[number % len(self.ports)]
        client = self.registry.get_client(f"http://127.0.0.1:{port}{slash}")
        self.misdirected += await client.read("/stream/tests/ExampleTask/1") != str(port)


async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request with the port it arrived at."""
    body = b"%d" % writer.get_extra_info("sockname")[1]
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    writer.close()


@scenario.setup
async def hosts(run: Run) -> AsyncIterator[Hosts]:
    hosts = Hosts(REGISTRIES[run.variant])
    async with AsyncExitStack() as stack:
        for _ in range(run.params.hosts):
            await hosts.serve(stack)
        yield hosts
        for client in hosts.registry.clients:
            await client.cleanup()


@scenario.gauge("requests", kind="counter")
def misdirected(hosts: Hosts) -> float:
    """Requests answered by a server other than the requested one."""
    return hosts.misdirected


@scenario.gauge("clients")
def clients(hosts: Hosts) -> float:
    """Clients that exist."""
    return len(hosts.registry.clients)


@scenario.variant("leaky", expect={"misdirected": "broken"}, origin="document code")
@scenario.variant("fixed")
async def read(step: int, hosts: Hosts) -> None:
    """Request a stream from the next host, every third time with a slash after the address."""
    await hosts.read(step, "" if step % 3 else "/")
