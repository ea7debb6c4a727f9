"""Counters labelled by user: as many series as there are users."""

from collections import Counter

from _beside import beside

requests = Counter()


def leak(step, size):
    requests["GET", f"user-{step}-{'x' * size}"] += 1  # leak


scenario = beside(leak, natural=300)
