"""Dropped DuckDB connections are freed; those that a kept error refers to are not.

Before a DELETE, the API counts the matching rows in an in-memory DuckDB that is never closed. Each
step is one count, and every second one fails, on a table that does not exist; the failure becomes
an HTTPException, as in the document. DuckDB is told to use two threads per connection.

- `leaky`, as printed. CPython drops the connection when the function returns, and DuckDB frees
  everything with its last reference: 0 bytes and 0 threads per step, on success and on failure. "A
  memory leak on every DELETE" is not reproduced.
- `leaky_error_kept`: a log keeps the last 100 errors with their tracebacks, as error trackers do.
  The traceback holds the frame, the frame holds the connection: 4.5 MB of heap and 9 threads per
  failing DELETE. The garbage collector cannot help: all of it is still in use.
- `fixed`, as printed: `conn.close()` in a `finally`; `fixed_error_kept` has the log as well, and
  the kept connections are closed.

The log is our addition, as in `sqlite_connections`. It is full when the run begins, of errors that
hold no connection. Its length bounds the leak: 100 errors are 450 MB and 900 threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from resleak.workload.scenario import Run, Scenario

scenario = Scenario(
    seed="003#2",
    claim="DuckDB :memory: connections are never closed: a memory leak on every DELETE",
    condition="only where errors are kept with their tracebacks",
    language="Python",
    symptoms={"heap": "leak", "threads": "leak"},
    outcome="not reproduced",
    fix="holds",
    gauges=("heap", "threads"),
    control="fds",
    steps=40,
    warmup=30,
    block=2,
    params={"errors_kept": 0, "threads": 2},
    requires=("duckdb", "starlette"),
    extra="arc",
    stacks=False,
)
Count = Callable[[str], Awaitable[int]]
GOOD = "SELECT count(*) FROM range(1000) AS cpu(host) WHERE host < 10"
BAD = "SELECT count(*) FROM cpu WHERE host < 10"
QUERIES = (GOOD, BAD)


class Deletes:
    """The route that counts the rows a DELETE would remove, and its kept errors."""

    def __init__(self, run: Run) -> None:
        import duckdb
        from starlette.exceptions import HTTPException

        config = {"threads": run.params.threads}
        self.memory: Callable[[], Any] = lambda: duckdb.connect(":memory:", config=config)  # opens
        self.refused, self.failed = HTTPException, duckdb.Error
        self.errors: deque[Exception] = deque(maxlen=run.params.errors_kept)

    def count(self, conn: Any, query: str) -> int:
        try:
            return int(conn.execute(query).fetchone()[0])
        except self.failed as e:
            raise self.refused(500, f"not counted: {e}") from e

    async def serve(self, query: str, count_matching_rows: Count) -> None:
        try:
            await count_matching_rows(query)
        except self.refused as error:
            self.errors.append(error)


@scenario.setup
async def deletes(run: Run) -> AsyncIterator[Deletes]:
    deletes = Deletes(run)
    with deletes.memory() as shared:  # whose cursors are cheap to open
        memory, deletes.memory = deletes.memory, shared.cursor
        for _ in range(run.params.errors_kept):
            await fixed(1, deletes)
    deletes.memory = memory
    yield deletes


@scenario.variant("leaky", origin="document code")
@scenario.variant("leaky_error_kept", expect={"heap": "leak", "threads": "leak"}, errors_kept=100)
async def leaky(step: int, deletes: Deletes) -> None:
    """Open a connection and leave the rest to the garbage collector."""

    async def count_matching_rows(query: str) -> int:
        conn = deletes.memory()
        return deletes.count(conn, query)

    await deletes.serve(QUERIES[step % 2], count_matching_rows)


@scenario.variant("fixed", origin="document code")
@scenario.variant("fixed_error_kept", errors_kept=100)
async def fixed(step: int, deletes: Deletes) -> None:
    """Close the connection on every path."""

    async def count_matching_rows(query: str) -> int:
        conn = deletes.memory()
        try:
            return deletes.count(conn, query)
        finally:
            conn.close()

    await deletes.serve(QUERIES[step % 2], count_matching_rows)
