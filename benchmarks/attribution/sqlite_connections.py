"""A connection for each request, none of them closed."""

import sqlite3

from _beside import beside

connections = []


def leak(step, size):
    connections.append((sqlite3.connect(":memory:"), bytes(size)))  # leak


scenario = beside(leak, natural=60_000)
