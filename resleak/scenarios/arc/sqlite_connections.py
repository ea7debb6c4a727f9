"""`with sqlite3.connect(...)` ends the transaction; it does not close the connection.

A policy store opens a connection per call. In each step one call fails, on a column that does not
exist, and one succeeds.

- `leaky`, as printed, skips `close()` when the statement fails. A connection forms a cycle with its
  own statement cache, so the descriptor waits for the collector: none is lost.
- `leaky_error_kept`: our addition, a log of the last 2 000 errors with their tracebacks, as error
  monitors have. The traceback holds the frame, the frame the connection: one descriptor and 100 kB
  per failure. (The log is full when the run begins, so that it does not grow by itself.)
- `proposed`, as printed, leaves the failed connection open just the same, and now also the
  successful one, until the collector runs (`proposed_success_only`). That is harmful: `leaky` keeps
  nothing open on success.
- `proposed_error_kept`: with the log both. `fixed`, ours: `contextlib.closing`, with the log too.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="003#1",
    claim="each error leaves a connection open, until resources are exhausted",
    condition="until the collector runs; for good where errors are kept with their tracebacks. The "
    "fix also leaves successful calls open until it runs; none is lost",
    language="Python",
    symptoms={"fds": "leak"},
    outcome="partly",
    fix="harmful",
    gauges=("fds",),
    control="threads",
    limits=[Limit("left_open", at_end=0, source="a successful call closes its connection")],
    steps=120,
    warmup=30,
    params={"failing": True, "errors_kept": 0},
)
CREATE = "CREATE TABLE policies (name TEXT PRIMARY KEY, days INTEGER)"
GOOD = "INSERT OR REPLACE INTO policies (name, days) VALUES ('cpu', 30)"
BAD = "INSERT OR REPLACE INTO policies (name, age) VALUES ('cpu', 30)"
BOTH = {"fds": "deferred", "left_open": "broken"}


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
        self.path, self.left_open = path, 0
        self.statements: tuple[str, ...] = (BAD,)
        self.log = logging.getLogger("policies")
        self.log.propagate = False
        self.log.addHandler(LastErrors(errors_kept))

    def serve(self, create_policy: Callable[[str], None]) -> None:
        for statement in self.statements:
            before = len(os.listdir("/dev/fd"))
            try:
                create_policy(statement)
                self.left_open += len(os.listdir("/dev/fd")) > before
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


@scenario.gauge("calls", kind="counter")
def left_open(store: Store) -> float:
    """Successful calls that left a descriptor open when they returned."""
    return store.left_open


@scenario.variant("leaky", expect={"fds": "deferred"}, origin="document code")
@scenario.variant("leaky_error_kept", expect={"fds": "leak"}, errors_kept=2000)
def leaky(_step: int, store: Store) -> None:
    """Close after the commit, which an exception skips."""

    def create_policy(statement: str) -> None:
        conn = sqlite3.connect(store.path)  # opens
        conn.execute(statement)
        conn.commit()
        conn.close()

    store.serve(create_policy)


@scenario.variant("proposed", expect=BOTH, origin="document code")
@scenario.variant("proposed_success_only", expect=BOTH, failing=False)
@scenario.variant("proposed_error_kept", expect={**BOTH, "fds": "leak, deferred"}, errors_kept=2000)
def proposed(_step: int, store: Store) -> None:
    """Use the connection as a context manager, which commits and does not close."""

    def create_policy(statement: str) -> None:
        with sqlite3.connect(store.path) as conn:  # opens
            conn.execute(statement)
            conn.commit()

    store.serve(create_policy)


@scenario.variant(errors_kept=2000)
def fixed(_step: int, store: Store) -> None:
    """Close on every path with `contextlib.closing`."""

    def create_policy(statement: str) -> None:
        with closing(sqlite3.connect(store.path)) as conn:
            conn.execute(statement)
            conn.commit()

    store.serve(create_policy)
