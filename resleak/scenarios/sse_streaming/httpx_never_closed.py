"""Closing the shared client after one request leaves it closed for all later requests.

Each step is one life of a Django application: start, two requests to a view that queries another
server through the shared client, stop.

- `leaky`: its one connection is open after every stop, as the document says. It does not add up:
  the exit closes it, so that it is no leak. Without a request there is no connection at all.
- `proposed`: cleans up on Django's `request_finished`, which is sent after each request. The second
  and all later ones are answered with 500 (`Client has been shut down`), 159 of 160: harmful. (The
  fix's other half, a handler for `atexit`, closes the synchronous client only.)
- `fixed`: the client belongs to the lifespan of the ASGI application, which a wrapper provides.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from resleak.scenarios import _django, _servers
from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="004 2.2",
    claim="the shared httpx client is never closed: a connection leaks at every shutdown",
    condition="a request was made; one connection per process, which the exit closes. The fix as "
    "printed, in Django 5.0 or later: its handler of request_finished breaks the second request. "
    "Before 5.0 it never runs, and the atexit handler alone, all that phase 1 names, closes only "
    "the synchronous client: by the plan's words alone, insufficient",
    language="Python",
    symptoms={"left_open": "broken", "sockets": "leak"},
    outcome="partly",
    fix="harmful",
    gauges=("sockets",),
    control="children",
    limits=[
        Limit("left_open", at_end=0, source="every opened connection is closed at shutdown"),
        Limit("failed", at_end=0, source="the second request works"),
    ],
    steps=60,
    warmup=20,
    block=5,
    params={"requests": 2},
    requires=("httpx", "django", "uvicorn"),
    extra="sse_streaming",
    stacks=False,
)


class StreamingClient:
    """The document's client, created on first use, with the `cleanup` of its fix."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls, self._shutdown = tls, False
        self._client: Any = None

    @property
    def async_client(self) -> Any:
        import httpx

        if self._shutdown:
            raise RuntimeError("Client has been shut down")
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=60, verify=self._tls, trust_env=False)
        return self._client

    async def cleanup(self) -> None:
        self._shutdown = True
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def connections(self) -> int:
        return 0 if self._client is None else len(self._client._transport._pool.connections)


class Project:
    """A Django project with one view, and the shared client that the view uses."""

    def __init__(self, run: Run, upstream: str) -> None:
        self.params, self.upstream, self.failed = run.params, upstream, 0
        self.tls = ssl.create_default_context()  # one for all: creating it takes 20 ms
        self.client = StreamingClient(self.tls)
        self.app = _django.application(progress=self.progress)

    async def progress(self, _request: Any) -> Any:
        from django.http import HttpResponse

        answer = await self.client.async_client.get(f"{self.upstream}/100")
        return HttpResponse(answer.content)

    async def on_request_finished(self, **_: Any) -> None:
        await self.client.cleanup()

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        self.client = StreamingClient(self.tls)
        yield
        await self.client.cleanup()


class WithLifespan:
    """An ASGI app that adds a lifespan to an app without one."""

    def __init__(self, project: Project) -> None:
        self.project = project

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await self.project.app(scope, receive, send)
            return
        await receive()
        async with self.project.lifespan():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


@scenario.setup
async def project(run: Run) -> AsyncIterator[Project]:
    with _servers.in_child() as upstream:
        project = Project(run, upstream)
        if run.variant == "proposed":
            from django.core.signals import request_finished

            request_finished.connect(project.on_request_finished)
        yield project


@scenario.gauge("connections")
def left_open(project: Project) -> float:
    """Connections of the shared client that are open after the stop."""
    return project.client.connections()


@scenario.gauge("requests", kind="counter")
def failed(project: Project) -> float:
    """Requests not answered with 200."""
    return project.failed


@scenario.variant("leaky", expect={"left_open": "broken"}, origin="document code")
@scenario.variant("proposed", expect={"failed": "broken"}, origin="document code")
async def serve(_step: int, project: Project) -> None:
    """Send some requests to the application."""
    import httpx

    transport = httpx.ASGITransport(WithLifespan(project))
    options: dict[str, Any] = {"base_url": "http://localhost", "verify": project.tls}
    async with httpx.AsyncClient(transport=transport, **options) as browser:
        for _ in range(project.params.requests):
            answer = await browser.get("/progress")
            project.failed += answer.status_code != 200


@scenario.variant()
async def fixed(step: int, project: Project) -> None:
    """Start the application, send the requests, and stop it, as an ASGI server does."""
    inbox, outbox = asyncio.Queue[Any](), asyncio.Queue[Any]()
    app = WithLifespan(project)
    life = asyncio.create_task(app({"type": "lifespan"}, inbox.get, outbox.put))
    inbox.put_nowait({"type": "lifespan.startup"})
    await outbox.get()
    await serve(step, project)
    inbox.put_nowait({"type": "lifespan.shutdown"})
    await life
