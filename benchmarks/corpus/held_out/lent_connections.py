"""Connections to a database, lent for a time of chance: of those that come back a few are kept."""

import sqlite3

from _work import benign

idle, lent = [], []


def step(number, run):
    rng = run.rng
    for _ in range(rng.randrange(3)):
        connection = idle.pop() if idle else sqlite3.connect(run.workdir / "store.db")
        connection.execute("select count(*) from sqlite_master").fetchall()
        lent.append((number + rng.randrange(1, run.params.most), connection))
    back = [connection for until, connection in lent if until <= number]
    lent[:] = [one for one in lent if one[0] > number]
    for connection in back:
        if len(idle) < run.params.keep:
            idle.append(connection)
        else:
            connection.close()


scenario = benign(
    step, most=20, keep=5, workloads=[{"most": 20, "keep": 5}, {"most": 60, "keep": 2}]
)
