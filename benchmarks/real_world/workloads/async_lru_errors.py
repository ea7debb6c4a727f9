"""async-lru: the task of a call that raised is kept for as long as its cache."""

from __future__ import annotations

from contextlib import suppress

from async_lru import alru_cache


@alru_cache(maxsize=100_000)
async def fetch(number: int) -> None:
    raise LookupError(number)


async def step(i: int) -> None:
    with suppress(LookupError):
        await fetch(i)
