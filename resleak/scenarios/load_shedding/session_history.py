"""Deleting old rows does not shrink the file by one byte: that takes a vacuum.

A day is a step: each has one session with five turns of 1 kB. Sessions older than 7 steps and turns
older than 30 are old, as in the document, and the clean-up runs every 5.

- `leaky`: 5 rows and some 5 kB per step, for ever.
- `proposed`, the document's two DELETEs: rows and file stop growing, because new rows reuse the
  free pages, so it holds. (Some 23 of 30 kept turns belong to a session that is deleted.)
- `proposed_after_a_burst`: a busy hour of 1 000 turns came first. The file keeps its largest size.
- `vacuum_by_execute`, after such an hour: `PRAGMA incremental_vacuum` by `execute()` frees one page
  of 4 096 B per call, because the statement yields an empty row per page, and `sqlite3` fetches
  only the first (with 3.11 even `fetchall()` does; with 3.13 that fetches all).
- `fixed`, ours: the same pragma by `executescript()`: the file follows the kept text. An existing
  file needs one full VACUUM after `auto_vacuum` is set.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="002#4",
    claim="session history has no automatic cleanup and grows without bound",
    condition="always; its rows are on disk. The heap grows by 5.6 kB per step with them, as far "
    "as SQLite's cache of pages, 2 MB, is not full. A day is a step. The fix bounds rows and file, "
    "which keeps the size of its busiest hour",
    language="JavaScript",
    symptoms={"rows": "leak", "file_bytes": "leak"},
    outcome="reproduced",
    fix="holds",
    control="fds",
    limits=[Limit("excess", at_most=3, quantile=0.5, source="the file follows the kept text")],
    steps=240,
    warmup=60,
    params={
        **{"turns": 5, "size": 1000, "burst_turns": 0, "every": 5},
        **{"kept_steps": 30, "kept_sessions": 7},
    },
    stacks=False,
)
CREATE = """
CREATE TABLE sessions (id INTEGER PRIMARY KEY, updated_at REAL);
CREATE TABLE session_history (
    id INTEGER PRIMARY KEY, session_id INTEGER, timestamp REAL, content TEXT);
CREATE INDEX by_time ON session_history (timestamp);
"""
SESSION = "INSERT OR REPLACE INTO sessions VALUES (?, ?)"
INSERT = "INSERT INTO session_history (session_id, timestamp, content) VALUES (?, ?, ?)"
DELETE_SESSIONS = "DELETE FROM sessions WHERE updated_at < ?"
DELETE = "DELETE FROM session_history WHERE timestamp < ?"
ORPHANS = "SELECT count(*) FROM session_history WHERE session_id NOT IN (SELECT id FROM sessions)"


class History:
    """The turns of all sessions; time is counted in steps."""

    def __init__(self, run: Run) -> None:
        self.params, self.path = run.params, run.workdir / "sessions.db"
        self.db = sqlite3.connect(self.path, isolation_level=None)
        self.db.execute("PRAGMA synchronous = OFF")
        if run.variant in ("fixed", "vacuum_by_execute"):
            self.db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table
        self.db.executescript(CREATE)
        # One cursor: a connection remembers up to 200 dead ones.
        self.cursor = self.db.cursor()
        self.record(0, run.params.burst_turns)

    def record(self, step: int, turns: int) -> None:
        row = (step, float(step), "x" * self.params.size)
        self.cursor.execute("BEGIN")
        self.cursor.execute(SESSION, row[:2])
        self.cursor.executemany(INSERT, [row] * turns)
        self.cursor.execute("COMMIT")

    def clean_up(self, step: int) -> None:
        self.cursor.execute(DELETE_SESSIONS, [step - self.params.kept_sessions])
        self.cursor.execute(DELETE, [step - self.params.kept_steps])


@scenario.setup
def history(run: Run) -> Iterator[History]:
    history = History(run)
    with closing(history.db):
        yield history


@scenario.gauge("rows")
def rows(history: History) -> float:
    """Turns in the history."""
    return float(history.cursor.execute("SELECT count(*) FROM session_history").fetchone()[0])


@scenario.gauge("rows")
def orphans(history: History) -> float:
    """Turns whose session is deleted."""
    return float(history.cursor.execute(ORPHANS).fetchone()[0])


@scenario.gauge("B")
def file_bytes(history: History) -> float:
    """Size of the file."""
    return history.path.stat().st_size


@scenario.gauge("times", kind="measure")
def excess(history: History) -> float:
    """Size of the file, relative to the text that should be kept."""
    params = history.params
    return float(file_bytes(history) / (params.kept_steps * params.turns * params.size))


@scenario.variant(
    expect={"rows": "leak", "file_bytes": "leak", "excess": "broken"}, origin="document words"
)
def leaky(step: int, history: History) -> None:
    """Record the turns, and keep them."""
    history.record(step, history.params.turns)


@scenario.variant("proposed", origin="document code")
@scenario.variant("proposed_after_a_burst", expect={"excess": "broken"}, burst_turns=1000)
def proposed(step: int, history: History) -> None:
    """Delete old rows, every few steps."""
    history.record(step, history.params.turns)
    if step % history.params.every == 0:
        history.clean_up(step)


@scenario.variant(expect={"excess": "broken"}, burst_turns=1000)
def vacuum_by_execute(step: int, history: History) -> None:
    """Delete old rows, and free their pages with the call that frees only one."""
    proposed(step, history)
    if step % history.params.every == 0:
        history.cursor.execute("PRAGMA incremental_vacuum")


@scenario.variant(burst_turns=1000)
def fixed(step: int, history: History) -> None:
    """Delete old rows, and free their pages."""
    proposed(step, history)
    if step % history.params.every == 0:
        history.cursor.executescript("PRAGMA incremental_vacuum")
