"""Deleting old rows does not give back one byte of the file: that takes a vacuum.

Each step records five turns of 1 kB; a busy hour of 1 000 turns came first. Time is counted in
steps: what is older than 20 of them is old, and the clean-up runs every 5.

- `leaky`: 5 rows and 5 222 B a step, for ever.
- `proposed`, the seed's DELETE: the rows come back, the file does not shrink by one byte
  (1 183 744 before and after). It grows no more, as new rows take the free pages; but its size is
  that of the busiest time there ever was, here 12 times the text that is kept.
- `vacuum_by_execute`: `PRAGMA incremental_vacuum` by `execute()` gives back one page of 4 096 B a
  call, for the statement yields a row without columns for each page, and `sqlite3` takes the first
  alone (with 3.11 even `fetchall()` does; with 3.13 that takes all).
- `fixed`: the same pragma by `executescript()`, which runs it to its end: the file follows what is
  kept. `auto_vacuum` must be set before the first table. In a file that exists it takes effect
  with one full VACUUM, so "no migrations needed" does not hold (measured: 1 036 288 B before and
  after the pragmas, 12 288 B after the VACUUM).
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
    limits=[Limit("excess", at_most=3, quantile=0.5, source="the file follows what is kept")],
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
    """What was said in all sessions; the time is counted in steps."""

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
    """Size of the file over the text that is to be kept."""
    params = history.params
    return float(file_bytes(history) / (params.kept_steps * params.turns * params.size))


@scenario.variant(expect={"rows": "leak", "file_bytes": "leak", "excess": "broken"})
def leaky(step: int, history: History) -> None:
    """Record what is said, and keep it."""
    history.record(step, history.params.turns)


@scenario.variant(expect={"excess": "broken"})
def proposed(step: int, history: History) -> None:
    """Delete what is old, now and then."""
    history.record(step, history.params.turns)
    if step % history.params.every == 0:
        history.clean_up(step)


@scenario.variant(expect={"excess": "broken"})
def vacuum_by_execute(step: int, history: History) -> None:
    """Delete what is old, and ask for its pages, in the way that gives back one."""
    proposed(step, history)
    if step % history.params.every == 0:
        history.db.execute("PRAGMA incremental_vacuum")


@scenario.variant()
def fixed(step: int, history: History) -> None:
    """Delete what is old, and give its pages back."""
    proposed(step, history)
    if step % history.params.every == 0:
        history.db.executescript("PRAGMA incremental_vacuum")
