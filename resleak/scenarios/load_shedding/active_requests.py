"""A request counted out twice makes the load shedder blind; it never makes it reject wrongly.

A Starlette app on uvicorn streams to eight clients at once and may admit four. In every step all
admitted requests overlap, one in four disconnects mid-stream, and the others end one by one.

- `leaky`: both `finish` and `close` decrement the counter, `close` only while it is above zero. Two
  requests that overlap and end one after the other are enough: the `close` of the first takes the
  second one's place away, and the second one's `finish` makes the counter negative. It is at -5
  after five steps and stays there. A disconnect fires `close` alone, and does no harm.
- `leaky_ends_together`: if all finish before the first closes, each `close` finds the counter at
  zero, and it stays correct. Correctness needs this interleaving, which is rare in a server.
- `fixed`: a flag per request.
The document blames it for rejections at zero active requests. From step 5 on it admits 8, not 4.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from resleak.scenarios import _servers
from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="002#1",
    claim="finish and close both count a request out: the counter drifts, and sheds wrongly",
    condition="two requests overlap and end one after the other. The counter is then too low, "
    "never too high: it refuses nobody, and admits too many",
    language="JavaScript",
    symptoms={"active": "broken", "shed_wrongly": "broken"},
    outcome="partly",
    fix="holds",
    control="threads",
    limits=[
        Limit("active", at_least=0, source="the counter never goes negative"),
        Limit("active", at_end=0, source="the counter returns to 0 when idle"),
        Limit("shed_wrongly", at_end=0, source="no false positives"),
        Limit("overrun", at_end=0, source="it sheds load during actual overload"),
    ],
    steps=36,
    warmup=9,
    block=3,
    params={"clients": 8, "limit": 4, "together": False},
    requires=("httpx", "starlette", "uvicorn"),
    extra="load_shedding",
    stacks=False,
)
Listener = Callable[[], None]


class LoadShedder:
    """ASGI middleware that refuses requests over a limit, with the document's own counter."""

    def __init__(self, app: Any, limit: int, count_out: Callable[..., tuple[Listener, Listener]]):
        self.app, self.limit, self.count_out = app, limit, count_out
        self.active = self.in_flight = self.shed_wrongly = self.overrun = 0
        self.ended = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.active >= self.limit:
            self.shed_wrongly += self.in_flight < self.limit
            await _overloaded(scope, receive, send)
            return
        self.overrun += self.in_flight >= self.limit
        self.active += 1
        self.in_flight += 1
        finish, close = self.count_out(self)

        async def watched(message: Any) -> None:
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                finish()

        try:
            await self.app(scope, receive, watched)
        finally:
            close()
            self.in_flight -= 1
            self.ended.set()


def twice(shedder: LoadShedder) -> tuple[Listener, Listener]:
    def finish() -> None:
        shedder.active -= 1

    def close() -> None:
        if shedder.active > 0:
            shedder.active -= 1

    return finish, close


def once(shedder: LoadShedder) -> tuple[Listener, Listener]:
    decremented = False

    def count_out() -> None:
        nonlocal decremented
        if not decremented:
            decremented = True
            shedder.active -= 1

    return count_out, count_out


async def _overloaded(scope: Any, receive: Any, send: Any) -> None:
    from starlette.responses import PlainTextResponse

    await PlainTextResponse("service temporarily overloaded", 503)(scope, receive, send)


class Service:
    """The app, its load shedder, and a gate at which every stream waits halfway."""

    http: Any
    address: str

    def __init__(self, run: Run) -> None:
        from starlette.applications import Starlette
        from starlette.routing import Route

        self.gate, self.params = asyncio.Semaphore(0), run.params
        app = Starlette(routes=[Route("/v1/messages", self.messages)])
        self.shedder = LoadShedder(app, run.params.limit, once if run.variant == "fixed" else twice)

    async def messages(self, _request: Any) -> Any:
        from starlette.responses import StreamingResponse

        async def tokens() -> AsyncIterator[bytes]:
            yield b"first half"
            await self.gate.acquire()
            yield b"second half"

        return StreamingResponse(tokens())

    async def open(self) -> Any:
        """Return a stream once it has begun, or None if it was refused."""
        request = self.http.build_request("GET", f"{self.address}/v1/messages")
        response = await self.http.send(request, stream=True)
        if response.status_code == 200:
            return response
        await response.aread()

    async def down_to(self, in_flight: int) -> None:
        while self.shedder.in_flight > in_flight:
            self.shedder.ended.clear()
            await self.shedder.ended.wait()


@scenario.setup
async def service(run: Run) -> AsyncIterator[Service]:
    import httpx

    service = Service(run)
    client = httpx.AsyncClient(timeout=None, trust_env=False)
    async with _servers.in_process(service.shedder) as service.address, client as service.http:
        yield service


@scenario.gauge("requests")
def active(service: Service) -> float:
    """Active requests by the shedder's own count, after all have ended."""
    return service.shedder.active


@scenario.gauge("requests", kind="counter")
def shed_wrongly(service: Service) -> float:
    """Requests refused while fewer than the limit were in flight."""
    return service.shedder.shed_wrongly


@scenario.gauge("requests", kind="counter")
def overrun(service: Service) -> float:
    """Requests admitted while the limit was reached."""
    return service.shedder.overrun


@scenario.variant("leaky", expect={"active": "broken", "overrun": "broken"}, origin="document code")
@scenario.variant("leaky_ends_together", together=True)
@scenario.variant("fixed", origin="document code")
async def overlap(_step: int, service: Service) -> None:
    """Open all streams, disconnect some of them, and let the others complete."""
    async with asyncio.TaskGroup() as clients:
        tasks = [clients.create_task(service.open()) for _ in range(service.params.clients)]
    streams = [stream for task in tasks if (stream := task.result()) is not None]
    hung_up, kept = streams[::4], [stream for n, stream in enumerate(streams) if n % 4]
    for stream in hung_up:
        await stream.aclose()
    await service.down_to(len(kept))
    for left in reversed(range(len(kept))):
        service.gate.release()
        if left == 0 or not service.params.together:
            await service.down_to(left)
    for stream in kept:
        await stream.aread()
