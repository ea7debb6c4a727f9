"""Queries on an analytical database, whose buffers are its own."""

import duckdb
from _work import benign

connection = duckdb.connect(":memory:", config={"threads": 1, "memory_limit": "100MB"})
connection.execute("create table t as select range as a, range % 7 as b from range(20000)")


def step(_number, run):
    connection.execute("select b, sum(a) from t where a > ? group by b", [run.rng.randrange(9000)])
    connection.fetchall()


scenario = benign(step)
