"""`with sqlite3.connect(...)` ends the transaction; it does not close the connection.

A policy store opens a connection per call. In each step one call fails on a column that does not
exist and one succeeds. Errors go to a log that holds the last 10 000 of them with their
tracebacks, as monitoring does; a process may open 1024 files.

- `leaky` skips `close()` when the statement fails. The traceback that is kept holds the frame, the
  frame holds the connection: one descriptor per failure, for good.
- `leaky_error_dropped`: without the log the descriptor is still not given back at once. A
  `sqlite3.Connection` is in a cycle with its own statement cache, so it waits for the collector.
- `proposed`, the seed's cure, leaves the failed connection open just the same, and now the one
  that succeeded too, until the collector runs (`proposed_success_only`). That is harmful: `leaky`
  holds nothing on success.
- `fixed`: `contextlib.closing` closes on every path; kept errors hold closed connections.

The log's own memory grows in every variant until it is full and is not under test: `fds` is.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from logging.handlers import BufferingHandler
from pathlib import Path

from resleak.declare import Run, Scenario

scenario = Scenario(
    seed="003#1",
    claim="each error leaves a connection open, until resources are exhausted",
    symptoms={"fds": "leak"},
    outcome="reproduced",
    fix="harmful",
    gauges=("fds",),
    control="threads",
    params={"failing": True, "keep_errors": True},
)
CREATE = "CREATE TABLE policies (name TEXT PRIMARY KEY, days INTEGER)"
GOOD = "INSERT OR REPLACE INTO policies (name, days) VALUES ('cpu', 30)"
BAD = "INSERT OR REPLACE INTO policies (name, age) VALUES ('cpu', 30)"


class Store:
    """Where policies are kept, and the log of what went wrong."""

    def __init__(self, path: Path, failing: bool, keep_errors: bool) -> None:
        self.path = path
        self.statements = (BAD, GOOD) if failing else (GOOD,)
        self.log = logging.getLogger("policies")
        self.log.propagate = False
        self.log.addHandler(BufferingHandler(10_000) if keep_errors else logging.NullHandler())

    def serve(self, create_policy: Callable[[str], None]) -> None:
        for statement in self.statements:
            try:
                create_policy(statement)
            except sqlite3.Error:
                self.log.exception("policy not created")


@scenario.setup
def store(run: Run) -> Iterator[Store]:
    path = run.workdir / "policies.db"
    with closing(sqlite3.connect(path)) as conn:
        conn.execute(CREATE)
    yield Store(path, run.params.failing, run.params.keep_errors)


@scenario.variant("leaky", expect={"fds": "leak"})
@scenario.variant("leaky_error_dropped", expect={"fds": "deferred"}, keep_errors=False)
def leaky(_step: int, store: Store) -> None:
    """Close after the commit, which an exception skips."""

    def create_policy(statement: str) -> None:
        conn = sqlite3.connect(store.path)
        conn.execute(statement)
        conn.commit()
        conn.close()

    store.serve(create_policy)


@scenario.variant("proposed", expect={"fds": "leak, deferred"})
@scenario.variant("proposed_success_only", expect={"fds": "deferred"}, failing=False)
def proposed(_step: int, store: Store) -> None:
    """Use the connection as a context manager, which commits and does not close."""

    def create_policy(statement: str) -> None:
        with sqlite3.connect(store.path) as conn:
            conn.execute(statement)
            conn.commit()

    store.serve(create_policy)


@scenario.variant()
def fixed(_step: int, store: Store) -> None:
    """Close on every path with `contextlib.closing`."""

    def create_policy(statement: str) -> None:
        with closing(sqlite3.connect(store.path)) as conn:
            conn.execute(statement)
            conn.commit()

    store.serve(create_policy)
