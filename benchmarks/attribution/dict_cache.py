"""A cache without a bound, keyed by request."""

from _beside import beside

cache = {}


def leak(step, size):
    cache[step, "user"] = bytes(size)  # leak


scenario = beside(leak, natural=250)
