"""Rows inserted into a table in memory that nobody ever empties."""

import duckdb
from _beside import beside

connection = duckdb.connect(":memory:", config={"threads": 1})
connection.execute("create table events (body text)")


def leak(step, size):
    connection.execute("insert into events select repeat('x', ?)", [size])  # leak


scenario = beside(leak, natural=100)
