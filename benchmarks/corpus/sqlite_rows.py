"""Rows inserted into a table in memory that nobody ever empties."""

import sqlite3

from _work import pair

connection = sqlite3.connect(":memory:", isolation_level=None)
connection.execute("create table events (id integer primary key, body blob)")


def acquire(_step, size):
    return connection.execute("insert into events (body) values (?)", [bytes(size)]).lastrowid


scenario = pair(
    acquire,
    lambda row: connection.execute("delete from events where id = ?", [row]),
    leaks="native",
    natural=40,
    workloads=[{"rate": 1000.0}, {"rate": 10_000.0, "pattern": "17th"}, {"rate": 200.0}],
)
