"""Patterns of file names are compiled, and the last 32,768 kept.

Source: python/cpython#86965, python/cpython#27084
Environment: plain
Kind: bounded
Full: 3277
Truth: grows until about step 3,277, and no further until step 8,122
"""

from fnmatch import fnmatch


def step(i):
    return sum(fnmatch("report.txt", f"folder{i}-{number}*.log") for number in range(10))
