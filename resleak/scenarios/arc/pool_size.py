"""A pool needs as many connections as there are concurrent queries; more only cost memory.

A pool of in-memory DuckDB connections, one to thirty-two. Eight clients take a connection, run a
query and keep the connection for 10 ms, in which they wait for the object storage. Recorded per
size are the memory that the pool takes when it is opened, the queries that found no idle
connection, and the queries per second.

- `leaky`: the size is an arbitrary number in a configuration. Each connection takes 4.4 MB, used or
  not: 2.7 MB for one, 34 MB for eight, 141 MB for thirty-two. With 1, 2 and 4 of them 7, 6 and 4 of
  32 queries find no idle one; from eight on none does.
- `proposed`, a size "based on CPU cores": four per core, here eight, as these queries wait for the
  storage three quarters of their time. No query waits for a connection, and the pool takes 34 MB.
- `proposed_one_per_core`: two, 7.4 MB, and clients wait while both cores are idle. Cores alone
  limit queries that compute, so guidance without a factor for those that wait would be too small.

Throughput, in a run by hand of seven rounds on a busy machine with two cores: 85, 141, 269 and 464
queries per second with 1, 2, 4 and 8 connections, 451 and 442 with 16 and 32 (medians; single
rounds with 8 or more vary by half). So the guidance is: as many connections as queries in flight.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from resleak.workload.scenario import Limit, Run, Scenario, Sweep

scenario = Scenario(
    seed="003#23",
    claim="there is no guidance for the size of the connection pool",
    condition="queries that wait for the storage (ours; the missing guidance is the claim, waits "
    "only show it). A size derived from the cores then needs a factor, which the document does not "
    "name: 4 for each of 2 cores make 8, as many as there are clients, so that none waits and "
    "memory cannot vary. With one per core queries wait while cores are idle",
    language="Python",
    symptoms={"step_peak": "scales", "waited": "broken"},
    outcome="reproduced",
    fix="holds",
    fix_params=["size"],
    control="children",
    limits=[Limit("waited", at_most=0, source="a pool that is large enough")],
    sweeps=[Sweep("step_peak", "asked", floor=2e6, source="memory for needed connections only")],
    steps=6,
    warmup=3,
    block=2,
    params={"sizes": [1, 2, 4, 8, 16, 32], "clients": 8, "queries": 4, "wait_s": 0.01, "size": 0},
    requires=("duckdb",),
    extra="arc",
    stacks=False,
)
QUERY = "SELECT avg(id) FROM range(1000) AS ids(id)"


class Pool:
    """Connections that clients wait for in order."""

    def __init__(self, connections: list[Any]) -> None:
        self.idle: asyncio.Queue[Any] = asyncio.Queue()
        self.waited = 0
        for connection in connections:
            self.idle.put_nowait(connection)

    async def query(self, wait_s: float) -> None:
        self.waited += self.idle.empty()
        connection = await self.idle.get()
        connection.execute(QUERY).fetchall()
        await asyncio.sleep(wait_s)  # the storage: only the time matters here
        self.idle.put_nowait(connection)


@contextmanager
def opened(size: int) -> Iterator[Pool]:
    import duckdb

    with ExitStack() as connections:
        yield Pool([connections.enter_context(duckdb.connect()) for _ in range(size)])


class Load:
    """Clients that query a pool, and their results."""

    def __init__(self, params: Any) -> None:
        self.params, self.asked, self.waited, self.throughput = params, 0, 0, 0.0

    async def use(self, size: int) -> None:
        with opened(size) as pool:
            began = time.perf_counter()
            async with asyncio.TaskGroup() as clients:
                for _ in range(self.params.clients):
                    clients.create_task(self._client(pool))
            taken = time.perf_counter() - began
        self.waited = pool.waited
        self.throughput = self.params.clients * self.params.queries / taken

    async def _client(self, pool: Pool) -> None:
        for _ in range(self.params.queries):
            await pool.query(self.params.wait_s)


@scenario.setup
async def load(run: Run) -> AsyncIterator[Load]:
    import duckdb

    duckdb.connect().close()  # the first connection's own memory is not the pool's
    yield Load(run.params)


@scenario.gauge("connections", kind="measure")
def asked(load: Load) -> float:
    """Connections requested by the configuration."""
    return load.asked


@scenario.gauge("queries", kind="measure")
def waited(load: Load) -> float:
    """Queries that found no idle connection."""
    return load.waited


@scenario.gauge("queries/s", kind="measure")
def throughput(load: Load) -> float:
    """Queries per second."""
    return load.throughput


@scenario.variant(
    "leaky", expect={"step_peak": "scales", "waited": "broken"}, origin="document words"
)
@scenario.variant("proposed", size=8, origin="document words")
@scenario.variant("proposed_one_per_core", expect={"waited": "broken"}, size=2)
async def use(step: int, load: Load) -> None:
    """Open a pool of the requested size, or of the one that the guidance gives."""
    load.asked = load.params.sizes[step % len(load.params.sizes)]
    await load.use(load.params.size or load.asked)
