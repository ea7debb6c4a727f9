"""A list that is only ever appended to."""

from _beside import beside

seen = []


def leak(step, size):
    seen.append(bytes(size))  # leak


scenario = beside(leak)
