"""A pool that counts discarded instead of closed connections reports fewer than are open.

A pool of four SQLite connections. In each step one fails its health check and is replaced, while a
request uses it, which closes it sixteen steps later. Counted are those missing in the metrics.

- `leaky` reports the connections in the pool: 4, when 20 are open.
- `proposed_counts_discards` counts where the pool creates and discards connections. The counters
  agree with each other, created - destroyed = 4, but not with the system: a trap.
- `fixed` counts creations and destructions in the connection itself, opened and closed: 20.
"""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="003#19",
    claim="the life of connections is not tracked in the metrics",
    condition="always: nothing counts creations and closings. What is missed is shown by "
    "connections that are replaced while requests use them, 16 here (ours). A discard must not "
    "count as a closing",
    language="Python",
    symptoms={"unseen": "broken"},
    outcome="reproduced",
    fix="holds",
    control="threads",
    limits=[Limit("unseen", at_most=0, source="created - closed = open")],
    steps=120,
    warmup=40,
    params={"pool": 4, "requests": 16},
    stacks=False,
)


class Counted(sqlite3.Connection):
    """A connection that counts how many of its kind are open."""

    open_now = 0
    is_open = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.is_open = True
        Counted.open_now += 1

    def close(self) -> None:
        super().close()
        Counted.open_now -= self.is_open
        self.is_open = False

    def __del__(self) -> None:
        self.close()


class Pool:
    """A pool with its health check, and what it reports."""

    idle: deque[sqlite3.Connection]
    created: int
    destroyed: int

    def __init__(self, run: Run) -> None:
        self.path, self.kind = run.workdir / "pool.db", KINDS.get(run.variant, sqlite3.Connection)
        self.report = REPORTS[run.variant]
        self.created = self.destroyed = 0
        self.requests, self.at_work = run.params.requests, deque[sqlite3.Connection]()
        self.idle = deque(self.create() for _ in range(run.params.pool))

    def create(self) -> sqlite3.Connection:
        self.created += 1
        return sqlite3.connect(self.path, factory=self.kind)

    def replace_next(self) -> None:
        connection = self.idle.popleft()
        try:
            connection.execute("SELECT * FROM missing")
        except sqlite3.Error:
            self.at_work.append(connection)
            self.destroyed += 1
            self.idle.append(self.create())
        if len(self.at_work) > self.requests:
            self.at_work.popleft().close()

    def really_open(self) -> int:
        """Count the descriptors of the process that refer to the database's file."""
        file, found = self.path.stat(), 0
        for descriptor in os.listdir("/dev/fd"):
            with suppress(OSError):  # the one that read the listing is gone
                found += os.path.samestat(file, os.fstat(int(descriptor)))
        return found


KINDS = {"fixed": Counted}
REPORTS: dict[str, Callable[[Pool], int]] = {
    "leaky": lambda pool: len(pool.idle),
    "proposed_counts_discards": lambda pool: pool.created - pool.destroyed,
    "fixed": lambda pool: Counted.open_now,
}


@scenario.setup
def pool(run: Run) -> Iterator[Pool]:
    pool = Pool(run)
    yield pool
    for connection in [*pool.idle, *pool.at_work]:
        connection.close()


@scenario.gauge("connections", kind="measure")
def unseen(pool: Pool) -> float:
    """Connections that are open, but not in the metrics."""
    return pool.really_open() - pool.report(pool)


@scenario.variant("leaky", expect={"unseen": "broken"}, origin="document words")
@scenario.variant("proposed_counts_discards", expect={"unseen": "broken"})
@scenario.variant("fixed", origin="document words")
def replace(_step: int, pool: Pool) -> None:
    """Replace a connection that fails its health check."""
    pool.replace_next()
