"""A cursor is taken and closed per message, on a connection that stays.

Source: duckdb/duckdb#12702, duckdb/duckdb#10223
Environment: current
Packages: duckdb
Kind: clean
Truth: no count grows from step 1,378 to 2,986
"""

import duckdb


def setup():
    database = duckdb.connect(config={"threads": 1})
    database.execute("create table queue (number integer)")
    return database


def step(i, database):
    cursor = database.cursor()
    cursor.execute("select count(*) from queue").fetchall()
    cursor.close()
