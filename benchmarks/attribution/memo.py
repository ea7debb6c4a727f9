"""A memo without a bound; its entries are the caller's, its values the function's."""

from functools import cache

from _beside import beside


@cache
def render(step, size):
    return bytes(size)  # leak


def leak(step, size):
    render(step, size)  # leak


scenario = beside(leak, natural=300)
