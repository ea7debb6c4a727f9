"""Waiting for a pooled connection in a loop that never yields stops the loop that would return one.

A pool of two DuckDB connections behind a `queue.Queue`. In each step both run a short query in a
thread, and a third caller waits. A connection is returned to the pool from the event loop.

The document prints the loops, but not the getter. One that ignores its timeout and returns at once
gives both symptoms that it reports, so it decides. A wait may take 1 s (ours).

- `leaky`, as printed: the loop asks some 370 000 times in 1 s, at 100 % CPU. No connection can be
  returned meanwhile: every wait fails, although the queries end within milliseconds.
- `proposed`, as printed: it sleeps for 0.1 s between two calls. No wait fails, the loop is free.
- `leaky_getter_blocks`: one that waits its whole timeout, 1.0 s, burns no CPU and blocks the loop.
- `proposed_getter_blocks`: the same getter, 0.1 s per turn. No wait fails, but the lag of the loop
  is 0.1 s in every step instead of 1 s, and the shortest wait is 0.2 s.
- `fixed`, ours: an `asyncio.Queue`, with no polling at all.
"""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="003#3",
    claim="waiting for a connection blocks the event loop, at 100 % CPU",
    condition="all connections are in use and the event loop returns them (the document does not "
    "say who does). The getter ignores its timeout and returns at once, which 100 % CPU needs; one "
    "that waits uses no CPU, and the fix then shortens the lag from 1 s to 0.1 s, above our limit "
    "of 0.05 s",
    language="Python",
    symptoms={"lag_s": "broken", "polls": "broken"},
    outcome="reproduced",
    fix="holds",
    control="fds",
    limits=[
        Limit("lag_s", at_most=0.05, quantile=0.5, source="half of the fix's own poll interval"),
        Limit("polls", at_most=10, source="a wait that sleeps polls a few times"),
        Limit("given_up", at_end=0, source="every query ends long before the timeout"),
    ],
    steps=10,
    warmup=10,  # until DuckDB has allocated its last buffer
    block=1,
    params={"size": 2, "getter_s": 0.0, "timeout_s": 1.0, "rows": 1_000_000},
    requires=("duckdb",),
    extra="arc",
    stacks=False,
)
Wait = Callable[[], Awaitable[Any]]


class Pool:
    """Connections for the tasks of one event loop."""

    def __init__(self, run: Run) -> None:
        self.params, self.given_up, self.polls = run.params, 0, 0
        self.free: queue.Queue[Any] = queue.Queue()
        self.free_for_tasks: asyncio.Queue[Any] = asyncio.Queue()
        self.put = self.free.put if run.variant != "fixed" else self.free_for_tasks.put_nowait

    def get_connection(self, timeout: float) -> Any:
        self.polls += 1
        try:
            return self.free.get(timeout=timeout) if timeout else self.free.get_nowait()  # stalls
        except queue.Empty:
            return None

    async def use(self, conn: Any) -> None:
        try:
            query = f"SELECT sum(i) FROM range({self.params.rows}) AS t(i)"
            await asyncio.to_thread(conn.execute, query)
        finally:
            self.put(conn)

    async def serve(self, wait: Wait) -> None:
        """Occupy every connection, then have one more caller wait for one."""
        self.polls = 0
        held = [await self.take() for _ in range(self.params.size)]
        users = [asyncio.create_task(self.use(conn)) for conn in held]
        try:
            await self.use(await wait())
        except TimeoutError:
            self.given_up += 1
        await asyncio.gather(*users)

    async def take(self) -> Any:
        return self.free.get_nowait() if self.free.qsize() else await self.free_for_tasks.get()


@scenario.setup
async def pool(run: Run) -> AsyncIterator[Pool]:
    import duckdb

    pool = Pool(run)
    # DuckDB keeps buffers per thread that used a connection, and which thread does is chance.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(max_workers=1))
    connections = [duckdb.connect(config={"threads": 1}) for _ in range(run.params.size)]
    for conn in connections:
        pool.put(conn)
    yield pool
    for conn in connections:
        conn.close()


@scenario.gauge("calls", kind="measure")
def polls(pool: Pool) -> float:
    """Calls of the getter during the step's one wait."""
    return pool.polls


@scenario.gauge("waits", kind="counter")
def given_up(pool: Pool) -> float:
    """Waits that ended without a connection."""
    return pool.given_up


@scenario.variant(
    "leaky",
    expect={"lag_s": "broken", "given_up": "broken", "polls": "broken"},
    origin="document code",
)
@scenario.variant(
    "leaky_getter_blocks", expect={"lag_s": "broken", "given_up": "broken"}, getter_s=1.0
)
async def leaky(_step: int, pool: Pool) -> None:
    """Call the getter until the time is up."""

    async def wait() -> Any:
        start = time.time()
        while time.time() - start < pool.params.timeout_s:
            if conn := pool.get_connection(pool.params.getter_s):
                return conn
        raise TimeoutError

    await pool.serve(wait)


@scenario.variant("proposed", origin="document code")
@scenario.variant("proposed_getter_blocks", expect={"lag_s": "broken"}, getter_s=0.1)
async def proposed(_step: int, pool: Pool) -> None:
    """Sleep between two calls of the getter."""

    async def wait() -> Any:
        clock = asyncio.get_running_loop().time
        start = clock()
        while clock() - start < pool.params.timeout_s:
            if conn := pool.get_connection(pool.params.getter_s):
                return conn
            await asyncio.sleep(0.1)
        raise TimeoutError

    await pool.serve(wait)


@scenario.variant()
async def fixed(_step: int, pool: Pool) -> None:
    """Wait in the queue of the event loop."""

    async def wait() -> Any:
        return await asyncio.wait_for(pool.free_for_tasks.get(), pool.params.timeout_s)

    await pool.serve(wait)
