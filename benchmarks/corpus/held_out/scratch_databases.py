"""Databases in memory, each for one question, that are not closed."""

import sqlite3

from _work import pair


def acquire(step, size):
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("create table scratch (number integer)")
    connection.execute("insert into scratch values (?)", [step])
    return connection, bytes(size)


scenario = pair(
    acquire,
    lambda kept: kept[0].close(),
    leaks="native",
    natural=35_200,
    workloads=[{"rate": 36_000.0}, {"rate": 6000.0}, {"rate": 50_000.0, "pattern": "stairs"}],
)
