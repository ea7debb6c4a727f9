"""Callbacks that close over their request, and are kept after it."""

from _beside import beside

callbacks = []


def leak(step, size):
    callbacks.append(lambda body=bytes(size): len(body))  # leak


scenario = beside(leak, natural=280)
