"""An unclosed reader returns its connection only once it has begun to read.

A Starlette proxy on uvicorn relays the lines of a model that then goes silent and stays open. In
each step one answer has a malformed line (ours), and one client disconnects.

- `leaky`: Python closes a generator that has begun with its last reference, so at most one
  connection is open. In Node, which decides, sockets stay (`stream_reader.mjs`).
- `leaky_refused`: the model refuses, and the proxy leaves before the first read. There is no
  generator to close: one connection, two sockets with the server's end, remain per request. After
  100 refusals, the default of httpx, every request fails with `PoolTimeout`.
- `proposed` cancels the reader when reading fails; `fixed` closes the stream on every path.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from resleak.scenarios import _servers
from resleak.workload.scenario import Run, Scenario

scenario = Scenario(
    seed="002#2",
    claim="readers are never released: each streaming request keeps its resources indefinitely",
    condition="constructed: an error in the processing of a line, which the old code elides (the "
    "fix prints res.write; we parse, ours), while the upstream stays open; after streams that end "
    "or break nothing stays. Judged by errors, whose missing clean-up the document marks. A client "
    "that hangs up on a silent upstream is a harsher reading: the printed loop leaks until fetch "
    "gives up, 300 s by default, and the fix is insufficient",
    language="JavaScript",
    symptoms={"connections": "leak", "sockets": "leak"},
    outcome="not reproduced",
    fix="holds",
    gauges=("sockets",),
    control="threads",
    steps=60,
    warmup=15,
    block=5,
    params={"requests": "malformed silent"},
    requires=("httpx", "starlette", "uvicorn"),
    extra="load_shedding",
    stacks=False,
)
LINES = {"malformed": b'{"token": "a"}\n{"token": \n', "silent": b'{"token": "a"}\n'}


class Model:
    """An ASGI app that refuses, or sends some lines and keeps the stream open."""

    active = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.active += 1
        kind = scope["path"].strip("/")
        status = 503 if kind == "refused" else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        body = {"type": "http.response.body", "body": LINES.get(kind, b"overloaded")}
        await send({**body, "more_body": status == 200})
        while status == 200 and (await receive())["type"] != "http.disconnect":
            pass
        self.active -= 1


@asynccontextmanager
async def left_open(response: Any) -> AsyncIterator[Any]:
    yield response


class Proxy:
    """An ASGI app that relays a model's stream line by line."""

    http: Any
    upstream: str
    address: str

    def __init__(self, run: Run) -> None:
        self.params, self.model = run.params, Model()
        self.owned = aclosing if run.variant == "fixed" else left_open
        self.cancels = run.variant.startswith("proposed")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from starlette.responses import PlainTextResponse, StreamingResponse

        request = self.http.build_request("GET", self.upstream + scope["path"])
        async with self.owned(await self.http.send(request, stream=True)) as response:  # opens
            if response.status_code != 200:
                answer: Any = PlainTextResponse("the model refused", 502)
            else:
                answer = StreamingResponse(self.relay(response))
            await answer(scope, receive, send)

    async def relay(self, response: Any) -> AsyncIterator[str]:
        try:
            async for line in response.aiter_lines():
                yield json.loads(line)["token"]
        except ValueError:
            if self.cancels:
                await response.aclose()
            yield "error"

    async def quiet(self) -> None:
        """Wait until the model has seen every stream end, except one that never does."""
        for _ in range(1000):
            if not self.model.active:
                break
            await asyncio.sleep(0)


@scenario.setup
async def proxy(run: Run) -> AsyncIterator[Proxy]:
    import httpx

    proxy = Proxy(run)
    unlimited = httpx.Limits(max_connections=None)
    async with (  # opens
        _servers.in_process(proxy.model) as proxy.upstream,
        httpx.AsyncClient(limits=unlimited, trust_env=False) as proxy.http,
        _servers.in_process(proxy) as proxy.address,
    ):
        yield proxy


@scenario.gauge("connections")
def connections(proxy: Proxy) -> float:
    """Connections to the model, counted by the proxy's pool."""
    return len(proxy.http._transport._pool.connections)


@scenario.variant("leaky", origin="constructed")
@scenario.variant(
    "leaky_refused", expect={"connections": "leak", "sockets": "leak"}, requests="refused"
)
@scenario.variant("proposed", origin="document code")
@scenario.variant("fixed", requests="refused malformed silent")
async def stream(_step: int, proxy: Proxy) -> None:
    """Request each kind of stream, and leave it after its first line."""
    host, port = proxy.address.removeprefix("http://").split(":")
    for kind in proxy.params.requests.split():
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET /{kind} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        await reader.readline() if kind == "silent" else await reader.read()
        writer.close()
        await writer.wait_closed()
    await proxy.quiet()
