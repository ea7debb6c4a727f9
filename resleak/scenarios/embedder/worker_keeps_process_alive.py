"""A worker that is never stopped keeps the process alive; a forced exit loses its unwritten rows.

An embedder hands its vectors to a thread that writes them to sqlite in batches of 100.

- `leaky`: `cleanup()` drops the model and leaves the worker waiting: the process never ends.
  Killing it then loses the 50 rows of the unfinished batch.
- `proposed_forced_exit`: the document's `gracefulShutdown(forceExit)` on this old clean-up. It
  exits, and loses the same 50 rows. The document has both fixes, so this decides nothing.
- `fixed`, the clean-up of its priority 1 (stop all background operations, wait for them): the
  worker is asked to stop, writes its remaining rows, and is joined. In Node the same holds for a
  worker and for a timer (`worker_keeps_process_alive.mjs`). The document's are WASM workers.

The document alerts at an exit time of 10 s, and aims at 2 s for a clean-up. The goal is the limit
here; a process that has not ended after 3 s counts as hanging.
"""

from __future__ import annotations

import os
import queue
import sqlite3
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="001 1.2",
    claim="background workers keep the process alive: it hangs at exit unless it is forced",
    condition="a worker that waits for rows (ours; no WASM worker was run) still runs after "
    "cleanup(). Judged by the goal for a clean-up, 2 s; it holds by the alert for an exit, too",
    language="TypeScript",
    symptoms={"run": "hangs"},
    outcome="reproduced",
    fix="holds",
    control="fds",
    limits=[
        Limit("exit_s", at_most=2, source="the document's goal; its alert is at 10 s"),
        Limit("rows_lost", at_end=0, source="every accepted row is written"),
    ],
    params={"rows_per_step": 10, "batch": 100, "grace_s": 1.0},
    exit_deadline_s=3.0,
    stacks=False,
)
Row = tuple[int, bytes]


class Writer(threading.Thread):
    """Writes rows in batches, until it receives None."""

    def __init__(self, path: Path, batch: int) -> None:
        super().__init__(name="writer")
        self.path, self.batch = path, batch
        self.rows: queue.Queue[Row | None] = queue.Queue()

    def run(self) -> None:
        with closing(sqlite3.connect(self.path)) as db:
            cursor, held = db.execute("PRAGMA cache_size = 10"), list[Row]()
            while (row := self.rows.get()) is not None:  # stalls
                held.append(row)
                if len(held) == self.batch:
                    self.write(cursor, held)
                self.rows.task_done()
            self.write(cursor, held)

    def write(self, cursor: sqlite3.Cursor, held: list[Row]) -> None:
        with cursor.connection:
            cursor.executemany("INSERT INTO vectors VALUES (?, ?)", held)
        held.clear()


class Embedder:
    """Turns numbers into vectors, and has a worker store them."""

    def __init__(self, run: Run) -> None:
        self.params, self.accepted = run.params, 0
        self.model: struct.Struct | None = struct.Struct("8f")
        self.writer = Writer(run.workdir / "vectors.db", run.params.batch)
        with closing(sqlite3.connect(self.writer.path)) as db:
            db.execute("CREATE TABLE vectors (id INTEGER, vector BLOB)")
        self.writer.start()

    def embed(self, number: int) -> None:
        assert self.model is not None
        self.writer.rows.put((number, self.model.pack(*[float(number)] * 8)))
        self.accepted += 1

    def cleanup(self) -> None:
        self.model = None


def drop_model(embedder: Embedder) -> None:
    embedder.cleanup()


def graceful_shutdown(embedder: Embedder) -> None:
    embedder.cleanup()
    force = threading.Timer(embedder.params.grace_s, os._exit, [0])
    force.daemon = True
    force.start()


def stop_and_join(embedder: Embedder) -> None:
    embedder.cleanup()
    embedder.writer.rows.put(None)
    embedder.writer.join()


@scenario.setup
def embedder(run: Run) -> Iterator[Embedder]:
    embedder = Embedder(run)
    for number in range(run.params.batch // 2):  # so that the load ends in the middle of a batch
        embedder.embed(number)
    yield embedder


@scenario.gauge("rows", kind="counter")
def accepted(embedder: Embedder) -> float:
    """Rows handed to the worker."""
    return embedder.accepted


@scenario.audit(rows_lost="rows")
def count_rows(run: Run, last: Mapping[str, float]) -> dict[str, float]:
    with closing(sqlite3.connect(run.workdir / "vectors.db")) as db:
        (written,) = db.execute("SELECT count(*) FROM vectors").fetchone()
    return {"rows_lost": last["accepted"] - written}


@scenario.variant(
    "leaky",
    expect={"run": "hangs", "exit_s": "broken", "rows_lost": "broken"},
    close=drop_model,
    origin="document words",
)
@scenario.variant("proposed_forced_exit", expect={"rows_lost": "broken"}, close=graceful_shutdown)
@scenario.variant("fixed", close=stop_and_join, origin="document words")
def ingest(step: int, embedder: Embedder) -> None:
    """Embed some documents."""
    for number in range(embedder.params.rows_per_step):
        embedder.embed(step * embedder.params.rows_per_step + number)
    embedder.writer.rows.join()  # taken, not yet written: no backlog is measured
