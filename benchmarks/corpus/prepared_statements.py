"""Statements that a connection keeps prepared, up to a bound."""

import sqlite3

from _work import benign

connection = sqlite3.connect(":memory:", cached_statements=100)


def step(number, _run):
    connection.execute(f"select {number}").fetchall()


scenario = benign(step)
