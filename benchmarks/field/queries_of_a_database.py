"""One query after the other on one connection.

Source: duckdb/duckdb#20569
Environment: current
Packages: duckdb
Kind: clean
Truth: no count grows from step 5,252 to 11,704
"""

import duckdb


def setup():
    return duckdb.connect(config={"threads": 1})


def step(i, database):
    return database.execute("select 42 as answer").fetchall()
