"""Without back-off a failing query is retried every turn; one back-off for the loop delays all.

Two continuous queries on DuckDB run every 10 ms; one fails each time, the other one is valid.

- `leaky` tries the failing query at every turn, for ever: 19 to 29 times per second on an
  overloaded machine; the interval allows up to 100.
- `proposed_backoff_of_the_loop`: the back-off that the document prints for its health check,
  applied to this loop. 0.3 to 0.6 attempts per second remain, but the valid query waits as long as
  the broken one: its last run was soon 1.0 to 2.2 s ago, and the wait doubles up to a minute.
- `fixed` has one back-off per query, as "exponential backoff on query errors" says: 0.3 to 0.4
  attempts per second, and the valid query ran 17 ms ago.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="003#16",
    claim="continuous queries that fail are polled again without any back-off",
    condition="a query keeps failing, at an interval of 10 ms (ours; the limit is a twentieth of "
    "what it allows); one back-off for the whole loop delays the valid ones",
    language="Python",
    symptoms={"attempts": "broken"},
    outcome="reproduced",
    fix="holds",
    control="children",
    limits=[
        Limit("attempts", per_second=5, source="a twentieth of what the interval allows"),
        Limit("staleness", at_most=0.2, quantile=0.5, source="20 intervals, for a valid query"),
    ],
    steps=120,
    warmup=80,
    params={"interval": 0.01, "longest": 60.0},
    requires=("duckdb",),
    extra="arc",
    stacks=False,
)
GOOD = "SELECT avg(usage) FROM cpu"
BAD = "SELECT avg(usage) FROM dropped"


class ContinuousQueries:
    """Runs its queries again and again, on one connection."""

    def __init__(self, db: Any, params: Any) -> None:
        import duckdb

        self.db, self.params, self.error = db, params, duckdb.Error
        self.attempts, self.succeeded = 0, time.monotonic()
        self.log = logging.getLogger("queries")
        self.log.propagate = False
        self.log.addHandler(logging.NullHandler())

    def run(self, query: str) -> None:
        self.attempts += query == BAD
        self.db.execute(query).fetchall()
        self.succeeded = time.monotonic()

    def try_to_run(self, query: str) -> bool:
        try:
            self.run(query)
        except self.error as e:
            self.log.error("Continuous query error: %s", e)
            return False
        return True

    async def poll(self) -> None:
        while True:
            for query in (GOOD, BAD):
                self.try_to_run(query)
            await asyncio.sleep(self.params.interval)

    async def poll_with_backoff(self) -> None:
        """Wait as the document's health check does: the loop as a whole."""
        backoff = self.params.interval
        while True:
            went_well = [self.try_to_run(query) for query in (GOOD, BAD)]
            if all(went_well):
                backoff = self.params.interval
            else:
                await asyncio.sleep(min(self.params.longest, backoff))
                backoff = min(backoff * 2, self.params.longest)
            await asyncio.sleep(self.params.interval)

    async def poll_each_with_backoff(self) -> None:
        """Delay only the query that failed."""
        backoff = dict.fromkeys((GOOD, BAD), self.params.interval)
        due = dict.fromkeys(backoff, 0.0)
        while True:
            for query in [query for query, at in due.items() if at <= time.monotonic()]:
                good = self.try_to_run(query)
                wait = self.params.interval if good else backoff[query]
                backoff[query] = min(wait * 2, self.params.longest)
                due[query] = time.monotonic() + wait
            await asyncio.sleep(self.params.interval)


Loop = Callable[[ContinuousQueries], Coroutine[Any, Any, None]]
LOOPS: dict[str, Loop] = {
    "leaky": ContinuousQueries.poll,
    "proposed_backoff_of_the_loop": ContinuousQueries.poll_with_backoff,
    "fixed": ContinuousQueries.poll_each_with_backoff,
}


@scenario.setup
async def queries(run: Run) -> AsyncIterator[ContinuousQueries]:
    import duckdb

    with duckdb.connect(config={"threads": 1}) as db:
        db.execute("CREATE TABLE cpu AS SELECT 1.0 * id AS usage FROM range(100) AS ids(id)")
        queries = ContinuousQueries(db, run.params)
        task = asyncio.create_task(LOOPS[run.variant](queries))
        yield queries
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@scenario.gauge("attempts", kind="counter")
def attempts(queries: ContinuousQueries) -> float:
    """Attempts to run the failing query."""
    return queries.attempts


@scenario.gauge("s", kind="measure")
def staleness(queries: ContinuousQueries) -> float:
    """Seconds since the valid query last ran."""
    return time.monotonic() - queries.succeeded


@scenario.variant("leaky", expect={"attempts": "broken"}, origin="document words")
@scenario.variant("proposed_backoff_of_the_loop", expect={"staleness": "broken"})
@scenario.variant("fixed", origin="document words")
async def live(_step: int, queries: ContinuousQueries) -> None:
    """Let the loop run for a moment: time alone is measured here."""
    await asyncio.sleep(queries.params.interval)
