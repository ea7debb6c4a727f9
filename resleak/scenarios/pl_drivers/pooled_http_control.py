"""A pool of HTTP connections fills to its size, then stays flat.

A null control: the document lists its pooled HTTP as well handled. Each step sends more requests
at once than the pool has connections. The first step opens all four; then nothing may grow.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from resleak.scenarios import _servers
from resleak.workload.scenario import Run, Scenario

scenario = Scenario(
    seed="000 well handled",
    language="TypeScript",
    gauges=("fds", "sockets", "heap"),
    control="children",
    steps=120,
    warmup=40,
    params={"pool": 4, "requests_per_step": 6, "size": 1000},
    requires=("httpx", "uvicorn"),
    extra="pl_drivers",
)


@dataclass
class Client:
    """A client with a pool of connections."""

    http: Any
    params: Any

    async def get(self, path: str) -> None:
        answer = await self.http.get(path)
        answer.raise_for_status()


@scenario.setup
async def client(run: Run) -> AsyncIterator[Client]:
    import httpx

    size = run.params.pool
    pool = httpx.Limits(max_connections=size, max_keepalive_connections=size, keepalive_expiry=60)
    with _servers.in_child() as address:
        async with httpx.AsyncClient(base_url=address, limits=pool, trust_env=False) as http:
            yield Client(http, run.params)


@scenario.variant()
async def control(_step: int, client: Client) -> None:
    """Send more requests at once than the pool has connections, and read each answer."""
    path = f"/{client.params.size}"
    async with asyncio.TaskGroup() as requests:
        for _ in range(client.params.requests_per_step):
            requests.create_task(client.get(path))
