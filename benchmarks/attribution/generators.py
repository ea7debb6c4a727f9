"""Generators that were started and never exhausted."""

from _beside import beside

running = []


def rows(body):
    yield len(body)
    yield body


def leak(step, size):
    running.append((page := rows(bytes(size)), next(page)))  # leak


scenario = beside(leak, natural=450)
