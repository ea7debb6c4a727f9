"""`with sqlite3.connect(...)` ends the transaction; it does not close the connection.

A policy store opens a connection per call. In each step one call fails, on a column that does not
exist, and one succeeds. As error monitors do, a log keeps the last 2 000 errors with their
tracebacks. It is full when the run begins, so that it does not grow by itself.

- `leaky` skips `close()` when the statement fails. The kept traceback holds the frame, the frame
  holds the connection: one descriptor and 100 kB per failure.
- `leaky_error_dropped`: even without the log the descriptor is not closed at once. A
  `sqlite3.Connection` forms a cycle with its own statement cache, so it waits for the collector.
- `proposed`, the document's fix, leaves the failed connection open just the same, and now also the
  successful one, until the collector runs (`proposed_success_only`). That is harmful: `leaky` keeps
  nothing open on success.
- `fixed`: `contextlib.closing` closes on every path; the kept errors refer to closed connections.

So the claim is right as far as errors are kept; otherwise the supposed leak is a wait for the
collector. A log shorter than the limit of open files would bound it.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from resleak.workload.scenario import Run, Scenario

scenario = Scenario(
    seed="003#1",
    claim="each error leaves a connection open, until resources are exhausted",
    symptoms={"fds": "leak"},
    outcome="reproduced",
    fix="harmful",
    gauges=("fds",),
    control="threads",
    steps=120,
    warmup=30,
    params={"failing": True, "errors_kept": 2000},
)
CREATE = "CREATE TABLE policies (name TEXT PRIMARY KEY, days INTEGER)"
GOOD = "INSERT OR REPLACE INTO policies (name, days) VALUES ('cpu', 30)"
BAD = "INSERT OR REPLACE INTO policies (name, age) VALUES ('cpu', 30)"


class LastErrors(logging.Handler):
    """Keeps the last errors, tracebacks included."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.records: deque[logging.LogRecord] = deque(maxlen=count)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class Store:
    """A store of policies, and its error log."""

    def __init__(self, path: Path, errors_kept: int) -> None:
        self.path = path
        self.statements: tuple[str, ...] = (BAD,)
        self.log = logging.getLogger("policies")
        self.log.propagate = False
        self.log.addHandler(LastErrors(errors_kept))

    def serve(self, create_policy: Callable[[str], None]) -> None:
        for statement in self.statements:
            try:
                create_policy(statement)
            except sqlite3.Error:
                self.log.exception("policy not created")


@scenario.setup
def store(run: Run) -> Iterator[Store]:
    store = Store(run.workdir / "policies.db", run.params.errors_kept)
    with closing(sqlite3.connect(store.path)) as conn:
        conn.execute(CREATE)
    for step in range(-run.params.errors_kept, 0):
        fixed(step, store)
    store.statements = (BAD, GOOD) if run.params.failing else (GOOD,)
    yield store


@scenario.variant("leaky", expect={"fds": "leak"})
@scenario.variant("leaky_error_dropped", expect={"fds": "deferred"}, errors_kept=0)
def leaky(_step: int, store: Store) -> None:
    """Close after the commit, which an exception skips."""

    def create_policy(statement: str) -> None:
        conn = sqlite3.connect(store.path)  # opens
        conn.execute(statement)
        conn.commit()
        conn.close()

    store.serve(create_policy)


@scenario.variant("proposed", expect={"fds": "leak, deferred"})
@scenario.variant("proposed_success_only", expect={"fds": "deferred"}, failing=False)
def proposed(_step: int, store: Store) -> None:
    """Use the connection as a context manager, which commits and does not close."""

    def create_policy(statement: str) -> None:
        with sqlite3.connect(store.path) as conn:  # opens
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
