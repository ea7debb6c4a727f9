"""A table in memory of which rows that are too old are deleted: their pages are used again."""

import sqlite3

from _work import benign

database = sqlite3.connect(":memory:", isolation_level=None)
database.execute("create table events (step integer, body blob)")


def step(number, run):
    for _ in range(5):
        body = bytes(run.rng.randrange(run.params.largest))
        database.execute("insert into events values (?, ?)", [number, body])
    database.execute("delete from events where step < ?", [number - run.params.window])


scenario = benign(
    step,
    window=30,
    largest=500,
    workloads=[{"window": 30}, {"window": 120}],
)
