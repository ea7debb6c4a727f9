"""Waiting for a pooled connection with a blocking getter stops the loop that would return one.

A pool of two DuckDB connections behind a `queue.Queue`. In each step both run a short query in a
thread, and a third caller waits. A connection is returned to the pool from the event loop.

- `leaky`, as printed: the getter blocks the loop for its whole timeout, so no connection can be
  returned: every wait fails, although the queries end within milliseconds. It burns no CPU: a
  waiting getter asks once. Of "blocked, at 100 % CPU" the first half is true.
- `leaky_getter_at_once`: with a getter that returns at once when the pool is empty, the other half
  is true as well: some 370 000 calls in 1 s.
- `proposed` calls the same blocking getter for 0.1 s per turn. Between two turns connections can be
  returned, so no wait fails, but the lag of the loop is 0.1 s in every step, and so is the shortest
  wait of a caller that has to wait at all (0.2 s).
- `fixed`: an `asyncio.Queue`. The lag is that of the loop itself: a few milliseconds on a busy
  machine.

The getters wait as long as in the document, 1.0 s and 0.1 s; its `timeout`, which it does not give,
is 1 s in `leaky`.
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
    condition="all connections are in use; 100 % CPU only with a getter that returns at once",
    language="Python",
    symptoms={"lag_s": "broken", "polls": "broken"},
    outcome="partly",
    fix="insufficient",
    fix_params=["getter_s", "timeout_s"],
    control="fds",
    limits=[
        Limit("lag_s", at_most=0.05, quantile=0.5, source="half of the fix's own poll interval"),
        Limit("polls", at_most=10, source="a wait that sleeps polls a few times"),
        Limit("given_up", at_end=0, source="every query ends long before the timeout"),
    ],
    steps=10,
    warmup=10,  # until DuckDB has allocated its last buffer
    block=1,
    params={"size": 2, "getter_s": 1.0, "timeout_s": 1.0, "rows": 1_000_000},
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


@scenario.variant("leaky", expect={"lag_s": "broken", "given_up": "broken"}, origin="document code")
@scenario.variant(
    "leaky_getter_at_once",
    expect={"lag_s": "broken", "given_up": "broken", "polls": "broken"},
    getter_s=0,
)
async def leaky(_step: int, pool: Pool) -> None:
    """Call a blocking getter until the time is up."""

    async def wait() -> Any:
        start = time.time()
        while time.time() - start < pool.params.timeout_s:
            if conn := pool.get_connection(pool.params.getter_s):
                return conn
        raise TimeoutError

    await pool.serve(wait)


@scenario.variant(expect={"lag_s": "broken"}, getter_s=0.1, timeout_s=5.0, origin="document code")
async def proposed(_step: int, pool: Pool) -> None:
    """Call the blocking getter for a shorter time, and sleep between two calls."""

    async def wait() -> Any:
        clock = asyncio.get_running_loop().time
        start = clock()
        while clock() - start < pool.params.timeout_s:
            if conn := pool.get_connection(pool.params.getter_s):
                return conn
            await asyncio.sleep(0.1)
        raise TimeoutError

    await pool.serve(wait)


@scenario.variant(timeout_s=5.0)
async def fixed(_step: int, pool: Pool) -> None:
    """Wait in the queue of the event loop."""

    async def wait() -> Any:
        return await asyncio.wait_for(pool.free_for_tasks.get(), pool.params.timeout_s)

    await pool.serve(wait)
