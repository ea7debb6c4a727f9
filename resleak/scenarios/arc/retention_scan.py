"""A tick that reads every policy costs in proportion to their number; with an index it does not.

A hundred to ten thousand retention policies in SQLite, five of them due in each tick. The cost of a
tick is counted, not timed: the instructions of SQLite's virtual machine, and the rows that reach
Python.

- `leaky` reads all policies at every tick: 540 instructions for 100 of them, 40 000 for 10 000.
- `fixed`, an index by next run: 170 instructions and five rows for any number of policies.

The claim is right, but not urgent: on a busy machine 10 000 policies took 17 ms and a million 1.7
s, once in 300 s. It matters where the event loop has to wait for it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from resleak.workload.scenario import Limit, Run, Scenario, Sweep

scenario = Scenario(
    seed="003#15",
    claim="every five minutes the retention job scans all policies: O(n)",
    condition="many policies, few of them due; a scan of 10,000 took 17 ms, by hand",
    language="Python",
    symptoms={"instructions": "scales", "rows_read": "scales"},
    outcome="reproduced",
    fix="holds",
    control="fds",
    limits=[Limit("not_run", at_end=0, source="a policy that is due is run")],
    sweeps=[
        Sweep("instructions", "policies", source="only due policies need work"),
        Sweep("rows_read", "policies", source="only due policies need work"),
    ],
    steps=120,
    warmup=30,
    params={"sizes": [100, 300, 1000, 3000, 10_000], "due": 5, "interval_s": 300},
    stacks=False,
)
CREATE = """
    CREATE TABLE policies (id INTEGER PRIMARY KEY, days INTEGER, next_run INTEGER);
    CREATE INDEX by_next_run ON policies (next_run);
"""
FILL = "INSERT INTO policies (days, next_run) VALUES (30, ?)"
RESCHEDULE = "UPDATE policies SET next_run = ? WHERE id = ?"
NEVER = 10**9
#: Instructions between two calls of the counting handler.
GRAIN = 10


class Retention:
    """A job that runs the due policies out of a given number."""

    def __init__(self, run: Run, policies: int) -> None:
        self.params, self.policies, self.now = run.params, policies, 0
        self.instructions = self.rows_read = self.not_run = 0
        self.connection = sqlite3.connect(run.workdir / f"{policies}.db")
        self.connection.executescript(CREATE)
        times = [0] * run.params.due + [NEVER] * (policies - run.params.due)
        self.connection.executemany(FILL, ((time,) for time in times))
        self.connection.commit()
        self.connection.set_progress_handler(self._count, GRAIN)
        self.connection.execute("PRAGMA synchronous = OFF")  # or the disk would be measured
        # One cursor: a connection remembers up to 200 dead ones.
        self.cursor = self.connection.cursor()

    def _count(self) -> int:
        self.instructions += GRAIN
        return 0

    def tick(self, select: str, *of: int) -> None:
        """Run due policies, and schedule them again."""
        self.now += self.params.interval_s
        self.instructions = self.rows_read = 0
        rows = self.cursor.execute(select, of).fetchall()
        self.rows_read = len(rows)
        due = [policy for policy, next_run in rows if next_run <= self.now]
        for policy in due:
            self.cursor.execute(RESCHEDULE, (self.now + self.params.interval_s, policy))
        self.connection.commit()
        self.not_run += self.params.due - len(due)


class Jobs:
    """One job per number of policies, and the job of the current step."""

    def __init__(self, run: Run) -> None:
        self.each = [Retention(run, size) for size in run.params.sizes]
        self.current = self.each[0]

    def at(self, step: int) -> Retention:
        self.current = self.each[step % len(self.each)]
        return self.current


@scenario.setup
def jobs(run: Run) -> Iterator[Jobs]:
    jobs = Jobs(run)
    yield jobs
    for job in jobs.each:
        job.connection.close()


@scenario.gauge("policies", kind="measure")
def policies(jobs: Jobs) -> float:
    """Number of policies."""
    return jobs.current.policies


@scenario.gauge("instructions", kind="measure")
def instructions(jobs: Jobs) -> float:
    """Instructions of SQLite's virtual machine in the tick."""
    return jobs.current.instructions


@scenario.gauge("rows", kind="measure")
def rows_read(jobs: Jobs) -> float:
    """Rows that the tick's query returned."""
    return jobs.current.rows_read


@scenario.gauge("policies", kind="counter")
def not_run(jobs: Jobs) -> float:
    """Due policies that were not run."""
    return jobs.current.not_run


@scenario.variant(expect={"instructions": "scales", "rows_read": "scales"}, origin="document words")
def leaky(step: int, jobs: Jobs) -> None:
    """Read all policies, and select the due ones."""
    jobs.at(step).tick("SELECT id, next_run FROM policies")


@scenario.variant(origin="document words")
def fixed(step: int, jobs: Jobs) -> None:
    """Ask the index for the due ones."""
    job = jobs.at(step)
    now = job.now + job.params.interval_s
    job.tick("SELECT id, next_run FROM policies WHERE next_run <= ?", now)
