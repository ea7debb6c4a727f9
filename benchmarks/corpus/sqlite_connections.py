"""Connections to a database's file that are used and not closed."""

import sqlite3
import tempfile

from _work import pair

file = f"{tempfile.mkdtemp()}/store.db"


def acquire(_step, _size):
    connection = sqlite3.connect(file)
    connection.execute("select count(*) from sqlite_master").fetchall()
    return connection


scenario = pair(
    acquire,
    lambda connection: connection.close(),
    leaks="fds",
    units=lambda _: {"fds": 1},
    workloads=[{}, {"pattern": "17th"}, {"pattern": "100th"}],
)
