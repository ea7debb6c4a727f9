"""The pages of a database's file that its connection keeps, up to a bound."""

import sqlite3
import tempfile

from _work import benign

connection = sqlite3.connect(f"{tempfile.mkdtemp()}/store.db", isolation_level=None)
connection.executescript("pragma synchronous=off; pragma journal_mode=memory;")
connection.execute("create table rows (id integer primary key, body blob)")
connection.executemany("insert into rows values (?, zeroblob(900))", ((i,) for i in range(4000)))
connection.execute("pragma shrink_memory")


def step(_number, run):
    connection.execute(f"pragma cache_size={run.params.pages}")
    for _ in range(5):
        connection.execute("select * from rows where id = ?", [run.rng.randrange(4000)]).fetchall()


scenario = benign(step, pages=100, workloads=[{"pages": 100}, {"pages": 600}])
