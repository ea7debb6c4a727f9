"""Databases that are opened, one for each request, and not closed."""

import itertools
import tempfile

import duckdb
from _work import pair

folder, numbers = tempfile.mkdtemp(), itertools.count()

scenario = pair(
    lambda *_: duckdb.connect(f"{folder}/{next(numbers)}.db", config={"threads": 1}),
    lambda connection: connection.close(),
    leaks="fds",
    units=lambda _: {"fds": 1},
    workloads=[{"pattern": "17th"}, {"pattern": "100th"}],
)
