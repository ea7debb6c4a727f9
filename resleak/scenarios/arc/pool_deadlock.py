"""A health check that closes a connection under the pool's lock deadlocks with a failing query.

The document prints no code, so this is a construction: a query holds its connection's lock until it
has ended, `close()` waits for it, and a failing query reports to the pool, under the pool's lock.
In each step such a query meets a health check that retires the connection (a real sqlite3).

- `leaky`: the check holds the pool's lock and waits for the connection's, the query the other way
  round. They deadlock in the first step, and the threads' stacks show them at the two locks.
- `leaky_callers_give_up`: as in a server that answers 503 after a while, nothing waits for these
  threads. Then both remain for good, and each later request and check adds its own: two threads per
  step.
- `fixed`: the check removes the connection under the lock, and closes it afterwards.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

from resleak.workload.scenario import Run, Scenario

scenario = Scenario(
    seed="003#6",
    claim="nested locks in the health check of connections can deadlock",
    condition="constructed: a query reports to the pool under its connection's lock; no code is "
    "printed",
    language="Python",
    symptoms={"run": "hangs"},
    outcome="partly",
    fix="holds",
    gauges=("threads",),
    control="sockets",
    steps=60,
    warmup=10,
    block=5,
    params={"patience_s": None, "rows": 20_000},
    deadline_s=3.0,
    stacks=False,
)
#: Fails in its last row: no integer is the absolute value of the smallest one.
QUERY = """
    WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t WHERE i < :rows)
    SELECT sum(abs(CASE i WHEN :rows THEN -9223372036854775808 ELSE i END)) FROM t
"""


class Connection:
    """A connection that only one thread at a time may use."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self.lock, self.busy = pool, threading.Lock(), threading.Event()
        self.db = sqlite3.connect(":memory:", check_same_thread=False)

    def execute(self, query: str, values: dict[str, int]) -> None:
        with self.lock:
            self.busy.set()
            try:
                self.db.execute(query, values).fetchall()
            except sqlite3.Error:
                self.pool.failed()
                raise

    def close(self) -> None:
        with self.lock:  # stalls
            self.db.close()


class Pool:
    """A pool of one connection."""

    def __init__(self, run: Run) -> None:
        self.params, self.lock, self.failures = run.params, threading.Lock(), 0
        self.connection = Connection(self)

    def failed(self) -> None:
        with self.lock:  # stalls
            self.failures += 1

    def request(self) -> None:
        with suppress(sqlite3.Error):
            self.connection.execute(QUERY, {"rows": self.params.rows})

    def check_and_close(self) -> None:
        with self.lock:
            old, self.connection = self.connection, Connection(self)
            old.close()

    def check_then_close(self) -> None:
        with self.lock:
            old, self.connection = self.connection, Connection(self)
        old.close()

    def serve(self, check: Callable[[], None]) -> None:
        """Check the connection while a query is running."""
        patience, connection = self.params.patience_s, self.connection
        threads = [threading.Thread(target=t, daemon=True) for t in (self.request, check)]
        threads[0].start()  # opens
        connection.busy.wait(patience)
        threads[1].start()  # opens
        for thread in threads:
            thread.join(patience)


@scenario.setup
def pool(run: Run) -> Iterator[Pool]:
    pool = Pool(run)
    yield pool
    pool.connection.db.close()


@scenario.variant("leaky", expect={"run": "hangs"}, origin="constructed")
@scenario.variant("leaky_callers_give_up", expect={"threads": "leak"}, patience_s=0.01)
def leaky(_step: int, pool: Pool) -> None:
    """Close the old connection under the lock of the pool."""
    pool.serve(pool.check_and_close)


@scenario.variant(origin="document words")
def fixed(_step: int, pool: Pool) -> None:
    """Close the old connection after releasing the lock of the pool."""
    pool.serve(pool.check_then_close)
