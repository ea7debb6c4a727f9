"""Statements with their values written in, each kept by the connection's cache."""

import sqlite3

from _beside import beside

connection = sqlite3.connect(":memory:", cached_statements=100_000)


def leak(step, size):
    connection.execute(f"select {step}, '{'x' * size}'").fetchall()  # leak


scenario = beside(leak, natural=3000)
