"""Idle keep-alive sockets are bounded by their pool; pools dropped open wait for the collector.

A proxy sends a burst of requests to a model through an httpx pool that may keep twenty idle
connections.

- `leaky`: one pool for the life of the process, never closed, as in the document. The first bursts
  open its four connections, which stay; nothing grows from then on. One holds 5 kB of heap.
- `leaky_pool_per_burst`: a pool per burst, never closed. In Python the pool and its four sockets
  are collected, but only when the collector runs: deferred, 20 descriptors in five steps.
- `proposed`, the document's optional clean-up: the one pool is closed at the shutdown, and none of
  its connections stay.
- `fixed`, ours: also a pool per burst, closed by the code that created it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any

from resleak.scenarios import _servers
from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="002#6",
    claim="idle keep-alive sockets hold memory: a leak",
    condition='as described: bounded by the pool ("managed by Node.js"), four sockets, 5 kB each '
    "in httpx; no leak. Counted after the shutdown, where alone the fix runs. A dropped agent is "
    "collected in Python; in Node its sockets stay until the server ends them (5 s)",
    language="JavaScript",
    symptoms={"sockets": "leak", "heap": "leak", "left": "broken"},
    outcome="partly",
    fix="holds",
    gauges=("fds", "sockets", "heap"),
    control="children",
    limits=[Limit("left", at_end=0, source="no socket stays idle after the clean-up")],
    steps=60,
    warmup=20,
    block=5,
    params={"burst": 4, "size": 1000, "max_idle": 20},
    requires=("httpx", "uvicorn"),
    extra="load_shedding",
    stacks=False,
)


class Proxy:
    """Sends requests to a model, through its own pool or a given one."""

    def __init__(self, run: Run, address: str) -> None:
        self.params, self.address, self.workdir = run.params, address, run.workdir
        self.tls = ssl.create_default_context()  # one for all: creating it takes 20 ms
        self.shared = self.pool()

    def pool(self) -> Any:
        import httpx

        limits = httpx.Limits(max_keepalive_connections=self.params.max_idle, keepalive_expiry=60)
        return httpx.AsyncClient(limits=limits, verify=self.tls, trust_env=False)

    async def burst(self, pool: Any) -> None:
        async with asyncio.TaskGroup() as requests:
            for _ in range(self.params.burst):
                requests.create_task(pool.get(f"{self.address}/{self.params.size}"))  # opens


@scenario.setup
async def proxy(run: Run) -> AsyncIterator[Proxy]:
    with _servers.in_child() as address:
        yield Proxy(run, address)


@scenario.gauge("connections")
def idle(proxy: Proxy) -> float:
    """Idle connections of the shared pool."""
    pool = proxy.shared._transport._pool
    return float(sum(connection.is_idle() for connection in pool.connections))


async def count(proxy: Proxy) -> None:
    (proxy.workdir / "left").write_text(str(idle(proxy)))


async def destroy(proxy: Proxy) -> None:
    await proxy.shared.aclose()
    await count(proxy)


@scenario.audit(left="connections")
def left(run: Run, _last: Mapping[str, float]) -> dict[str, float]:
    """Count the idle connections that the clean-up left open, if there was one."""
    return {"left": float((run.workdir / "left").read_text())}


@scenario.variant("leaky", expect={"left": "broken"}, close=count, origin="document words")
@scenario.variant("proposed", close=destroy, origin="document code")
async def leaky(_step: int, proxy: Proxy) -> None:
    """Send a burst through the shared pool."""
    await proxy.burst(proxy.shared)


@scenario.variant(expect={"fds": "deferred"}, close=count)
async def leaky_pool_per_burst(_step: int, proxy: Proxy) -> None:
    """Send a burst through a pool of its own, and drop the pool."""
    await proxy.burst(proxy.pool())


@scenario.variant(close=count)
async def fixed(_step: int, proxy: Proxy) -> None:
    """Send a burst through a pool of its own, and close the pool."""
    async with proxy.pool() as pool:
        await proxy.burst(pool)
