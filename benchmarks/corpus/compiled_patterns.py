"""The cache of compiled patterns, which `re` bounds itself."""

import re

from _work import benign


def step(number, _run):
    re.match(f"user-{number}-[a-z]+", "user-1-a")


scenario = benign(step)
