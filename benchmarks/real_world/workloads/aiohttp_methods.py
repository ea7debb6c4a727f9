"""aiohttp: with a middleware, each request with a method that is not allowed is cached."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer


@web.middleware
async def middleware(request: web.Request, handler: Any) -> web.StreamResponse:
    response: web.StreamResponse = await handler(request)
    return response


async def hello(request: web.Request) -> web.Response:
    return web.Response()


async def setup() -> AsyncIterator[tuple[ClientSession, str]]:
    app = web.Application(middlewares=[middleware])
    app.router.add_get("/", hello)
    async with TestServer(app) as server, ClientSession() as session:
        yield session, str(server.make_url("/"))


async def step(i: int, world: tuple[ClientSession, str]) -> None:
    session, url = world
    async with session.post(url) as response:
        await response.read()
