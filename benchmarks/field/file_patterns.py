"""Patterns of file names are compiled, and the last 32,768 kept.

Source: python/cpython#86965, python/cpython#27084
Environment: plain
Kind: bounded
Full: 3277
Truth: TODO
"""

from fnmatch import fnmatch


def step(i):
    return sum(fnmatch("report.txt", f"folder{i}-{number}*.log") for number in range(10))
