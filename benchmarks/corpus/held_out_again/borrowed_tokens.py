"""Tokens of a capacity limiter that are borrowed, and kept where the work fails."""

import functools
import itertools

import anyio
from _work import pair

borrowers = itertools.count()


@functools.cache
def limiter():
    return anyio.CapacityLimiter(10_000)


async def acquire(_step, _size):
    borrower = next(borrowers)
    await limiter().acquire_on_behalf_of(borrower)
    return borrower


scenario = pair(
    acquire,
    lambda borrower: limiter().release_on_behalf_of(borrower),
    leaks="borrowed",
    units=lambda _: {"borrowed": 1},
    workloads=[{}, {"pattern": "100th"}, {"pattern": "stairs"}],
)


@scenario.gauge("tokens")
def borrowed(_world):
    """Tokens that are borrowed."""
    return limiter().borrowed_tokens
