"""Deleting old rows does not shrink the file by one byte: that takes a vacuum.

Each step records five turns of 1 kB; a busy hour of 1 000 turns came first. Time is counted in
steps: rows older than 20 steps are old, and the clean-up runs every 5.

- `leaky`: 5 rows and 5 222 B per step, for ever.
- `proposed`, the document's DELETE: the rows are deleted, the file does not shrink by one byte (1
  183 744 before and after). It stops growing, because new rows reuse the free pages; but it keeps
  the size of the busiest time ever, here 12 times the text that is kept.
- `vacuum_by_execute`: `PRAGMA incremental_vacuum` by `execute()` frees one page of 4 096 B per
  call, because the statement yields an empty row per page, and `sqlite3` fetches only the first
  (with 3.11 even `fetchall()` does; with 3.13 that fetches all).
- `fixed`: the same pragma by `executescript()`, which runs it to its end: the file follows the kept
  text. `auto_vacuum` must be set before the first table. In an existing file it takes effect after
  one full VACUUM, so "no migrations needed" is wrong (measured: 1 036 288 B before and after the
  pragmas, 12 288 B after the VACUUM).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="002#4",
    claim="session history has no automatic cleanup and grows without bound",
    symptoms={"rows": "leak", "file_bytes": "leak"},
    outcome="reproduced",
    fix="insufficient",
    control="fds",
    limits=[Limit("excess", at_most=3, quantile=0.5, source="the file follows the kept text")],
    steps=240,
    warmup=60,
    params={"turns": 5, "size": 1000, "burst_turns": 1000, "kept_steps": 20, "every": 5},
    stacks=False,
)
CREATE = """
CREATE TABLE session_history (id INTEGER PRIMARY KEY, timestamp REAL, content TEXT);
CREATE INDEX by_time ON session_history (timestamp);
"""
INSERT = "INSERT INTO session_history (timestamp, content) VALUES (?, ?)"
DELETE = "DELETE FROM session_history WHERE timestamp < ?"


class History:
    """The turns of all sessions; time is counted in steps."""

    def __init__(self, run: Run) -> None:
        self.params, self.path = run.params, run.workdir / "sessions.db"
        self.db = sqlite3.connect(self.path, isolation_level=None)
        self.db.execute("PRAGMA synchronous = OFF")
        if run.variant in ("fixed", "vacuum_by_execute"):
            self.db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table
        self.db.executescript(CREATE)
        self.record(0, run.params.burst_turns)

    def record(self, step: int, turns: int) -> None:
        row = (float(step), "x" * self.params.size)
        self.db.execute("BEGIN")
        self.db.executemany(INSERT, [row] * turns)
        self.db.execute("COMMIT")

    def clean_up(self, step: int) -> None:
        self.db.execute(DELETE, [step - self.params.kept_steps])


@scenario.setup
def history(run: Run) -> Iterator[History]:
    history = History(run)
    with closing(history.db):
        yield history


@scenario.gauge("rows")
def rows(history: History) -> float:
    """Turns in the history."""
    return float(history.db.execute("SELECT count(*) FROM session_history").fetchone()[0])


@scenario.gauge("B")
def file_bytes(history: History) -> float:
    """Size of the file."""
    return history.path.stat().st_size


@scenario.gauge("times", kind="measure")
def excess(history: History) -> float:
    """Size of the file, relative to the text that should be kept."""
    params = history.params
    return float(file_bytes(history) / (params.kept_steps * params.turns * params.size))


@scenario.variant(expect={"rows": "leak", "file_bytes": "leak", "excess": "broken"})
def leaky(step: int, history: History) -> None:
    """Record the turns, and keep them."""
    history.record(step, history.params.turns)


@scenario.variant(expect={"excess": "broken"})
def proposed(step: int, history: History) -> None:
    """Delete old rows, every few steps."""
    history.record(step, history.params.turns)
    if step % history.params.every == 0:
        history.clean_up(step)


@scenario.variant(expect={"excess": "broken"})
def vacuum_by_execute(step: int, history: History) -> None:
    """Delete old rows, and free their pages with the call that frees only one."""
    proposed(step, history)
    if step % history.params.every == 0:
        history.db.execute("PRAGMA incremental_vacuum")


@scenario.variant()
def fixed(step: int, history: History) -> None:
    """Delete old rows, and free their pages."""
    proposed(step, history)
    if step % history.params.every == 0:
        history.db.executescript("PRAGMA incremental_vacuum")
