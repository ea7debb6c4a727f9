"""What every leak here stands beside: a bounded cache whose entries come and go."""

from __future__ import annotations

import inspect
import math
import random
from collections.abc import Callable, Generator
from typing import Any

from resleak.workload.scenario import Run, Scenario

STEPS, WARMUP = 240, 60
#: So much of the cache is renewed in each step.
_RENEWED = 0.05
#: No cache holds more: what a machine has is bounded as well.
_MOST_BYTES = 300_000_000


class Cache:
    """A bounded cache: what it holds at a mark goes up and down, and never on and on.

    Parameters
    ----------
    rng : random.Random
        Its only source of randomness.
    held : float
        Bytes it holds when full, on average.
    kind : {"random", "ring", "flushed"}
        Random keys with sizes of ±50 %; a ring whose sizes have a heavy tail; one that fills up and
        is emptied at once, every 30 to 80 steps.
    """

    def __init__(self, rng: random.Random, held: float, kind: str) -> None:
        self.rng, self.kind = rng, kind
        self.entries: dict[int, bytes] = {}
        self.size = int(min(400, max(16, held / 256)))
        self.mean = held / self.size
        self.next, self.period = 0, rng.randrange(30, 80)

    def fill(self) -> None:
        """Fill it before the first step."""
        for key in range(self.size if self.kind != "flushed" else 0):
            self.put(key)

    def churn(self) -> None:
        """Renew a part."""
        for _ in range(math.ceil(self.size * self.share)):
            self.put(self.key())
        if self.kind == "flushed" and len(self.entries) >= self.size:
            self.entries.clear()

    @property
    def share(self) -> float:
        """What part is renewed in a step."""
        return 1 / self.period if self.kind == "flushed" else _RENEWED

    def key(self) -> int:
        """Return the key to write next."""
        self.next += 1
        return self.rng.randrange(self.size) if self.kind == "random" else self.next % self.size

    def put(self, key: int) -> None:
        """Write an entry."""
        spread = (
            self.rng.lognormvariate(-0.5, 1) if self.kind == "ring" else self.rng.uniform(0.5, 1.5)
        )
        self.entries[key] = bytes(int(self.mean * spread))


def beside(leak: Callable[[int, int], Any], *, natural: int = 60) -> Scenario:
    """Return a scenario that leaks in every step, or every few steps, beside a cache.

    Parameters
    ----------
    leak : callable
        Leaks once, given the number of the step and how many bytes to add to what it leaks anyway;
        may be a coroutine function.
    natural : int
        Bytes that it leaks anyway, about.
    """
    made = Scenario(
        steps=STEPS,
        warmup=WARMUP,
        params={"rate": 1000.0, "factor": 10.0, "cache": "random"},
        control="threads",
    )

    @made.setup
    def world(run: Run) -> Generator[tuple[Cache, int, int]]:
        rate = run.params.rate
        held = min(run.params.factor * rate * (STEPS + WARMUP), _MOST_BYTES)
        cache = Cache(run.rng, held, run.params.cache)
        cache.fill()
        every = max(1, math.ceil(natural / rate))
        yield cache, every, max(0, round(rate * every - natural))

    if inspect.iscoroutinefunction(leak):

        async def step(number: int, made: tuple[Cache, int, int]) -> None:
            cache, every, size = made
            if number % every == 0:
                await leak(number, size)
            cache.churn()

    else:

        def step(number: int, made: tuple[Cache, int, int]) -> None:
            cache, every, size = made
            if number % every == 0:
                leak(number, size)
            cache.churn()

    made.variant("leaky")(step)
    return made
