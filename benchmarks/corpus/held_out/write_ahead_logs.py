"""Connections to a database with a write-ahead log that are used and not closed."""

import functools
import sqlite3
import tempfile

from _work import pair


@functools.cache
def first():
    path = f"{tempfile.mkdtemp()}/ledger.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("create table entries (amount)")
    return path, connection  # as long as it is open, the log stays


def acquire(_step, _size):
    connection = sqlite3.connect(first()[0])
    connection.execute("select count(*) from entries").fetchall()
    return connection


scenario = pair(
    acquire,
    lambda connection: connection.close(),
    leaks="fds",
    units=lambda _: {"fds": 2},
    workloads=[{"pattern": "17th"}, {"pattern": "100th"}],
)
