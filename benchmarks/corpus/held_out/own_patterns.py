"""Patterns compiled for each user and put into a table of one's own, which nothing bounds."""

import re

from _work import pair

patterns = {}


def acquire(step, size):
    text = f"/users/{step:04}-{len(patterns):04}/[a-z]+(?:/(\\d+))?"
    patterns[text] = re.compile(text), bytes(size + 2)
    re.purge()  # the module's own cache is bounded, and not meant here
    return text


scenario = pair(
    acquire,
    patterns.pop,
    leaks="heap",
    natural=840,
    workloads=[{"rate": 850.0}, {"rate": 300.0}, {"rate": 3000.0, "pattern": "stairs"}],
)
