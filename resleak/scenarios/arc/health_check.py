"""A failing health check does not spin, unless the sleep itself raises.

The document says that an exception in the check retries at once, with one core at 100 %. As printed
the sleep is the first statement inside the `try`: it runs again before each retry.

- `leaky`, as printed, with a check that always fails: at an interval of 10 ms 40 to 95 turns per
  second, as the machine allows, and never more than the interval asks for. Not reproduced.
- `leaky_zero_interval`: an interval of 0 spins, 30 000 turns per second, but still lets other tasks
  run.
- `leaky_bad_interval`: an interval read from the environment as text makes the sleep itself raise.
  The loop never waits, and no other task of the process runs again.
- `fixed`: the document's back-off; `fixed_bad_interval` with such an interval. It waits on every
  path, so it holds. Its price is that a pool's recovery is noticed up to a minute later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="003#4",
    claim="an exception in the health check makes the loop retry at once, at 100 % CPU",
    condition="never at an interval of 10 ms (ours); only with one of 0, or one that is no number",
    language="Python",
    symptoms={"turns": "broken"},
    outcome="not reproduced",
    fix="holds",
    control="fds",
    limits=[Limit("turns", per_second=200, source="twice the rate the interval asks for")],
    steps=80,
    warmup=20,
    params={"interval": 0.01},
    deadline_s=4.0,
    stacks=False,
)


class Pool:
    """A pool whose health check always fails."""

    def __init__(self, interval: Any) -> None:
        self.health_check_interval, self.turns, self.failures = interval, 0, 0
        self.log = logging.getLogger("pool")
        self.log.propagate = False
        self.log.addHandler(logging.NullHandler())

    def check(self) -> None:
        self.failures += 1
        raise ConnectionError("the database does not answer")

    async def health_check_as_printed(self) -> None:
        while True:  # stalls
            self.turns += 1
            try:
                await asyncio.sleep(self.health_check_interval)
                self.check()
            except Exception as e:
                self.log.error("Health check error: %s", e)

    async def health_check_with_backoff(self) -> None:
        backoff = 1
        while True:
            self.turns += 1
            try:
                await asyncio.sleep(self.health_check_interval)
                self.check()
                backoff = 1
            except asyncio.CancelledError:
                break
            except Exception as e:
                self.log.error("Health check error: %s", e)
                await asyncio.sleep(min(60, backoff))
                backoff = min(backoff * 2, 60)


Loop = Callable[[Pool], Coroutine[Any, Any, None]]


@scenario.setup
async def pool(run: Run) -> AsyncIterator[Pool]:
    pool = Pool(run.params.interval)
    is_fixed = run.variant.startswith("fixed")
    loop: Loop = Pool.health_check_with_backoff if is_fixed else Pool.health_check_as_printed
    task = asyncio.create_task(loop(pool))
    yield pool
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@scenario.gauge("turns", kind="counter")
def turns(pool: Pool) -> float:
    """Turns of the health check's loop."""
    return pool.turns


@scenario.gauge("failures", kind="counter")
def consecutive_health_failures(pool: Pool) -> float:
    """Checks that failed since the last one that did not."""
    return pool.failures


@scenario.variant("leaky", origin="document code")
@scenario.variant("leaky_zero_interval", expect={"turns": "broken"}, interval=0)
@scenario.variant("leaky_bad_interval", expect={"run": "hangs"}, interval="0.01")
@scenario.variant("fixed", origin="document code")
@scenario.variant("fixed_bad_interval", interval="0.01")
async def live(_step: int, _pool: Pool) -> None:
    """Let the loop run for a moment: time alone is measured here."""
    await asyncio.sleep(0.01)
