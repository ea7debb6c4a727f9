"""What the workloads of the corpus share: when to leak, how much, and beside what.

A file of the corpus is a scenario like any other. `pair` makes one of something that can be
acquired and released: its variant `leaky` keeps what it acquires, its variant `fixed` releases it,
at the same steps. `benign` makes one that grows for a while, or all the time and not for good.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Generator, Mapping
from typing import Any

from resleak.workload.scenario import Run, Scenario

STEPS, WARMUP, BLOCK = 540, 60, 10
#: Steps between two leaks, by pattern; those that are not named leak at every step.
PERIODS = {"17th": 17, "100th": 100, "stairs": 20}
#: The step at which what starts late begins.
ONSET = 180
#: No cache beside a leak holds more bytes.
_MOST_BYTES = 30_000_000
_ENTRIES, _RENEWED, _SLOTS = 200, 10, 16


class Work(Scenario):
    """A scenario that stands for several workloads, which differ in its parameters.

    Attributes
    ----------
    workloads : list of mapping
        The parameters of each, where they differ from the scenario's.
    units : callable
        Given the number of bytes asked for, what one leak adds to which gauge, where it is known.
    natural : int
        Bytes that one leak takes anyway, about.
    """

    workloads: list[Mapping[str, Any]]
    units: Callable[[int], Mapping[str, float]]
    natural: int

    def rates(self, params: Mapping[str, Any]) -> dict[str, float]:
        """Return the true rates, in units per step, by gauge."""
        period = _period(params, self.natural)
        at_once = period if params["pattern"] == "stairs" else 1
        added = self.units(_size(params, self.natural, period, at_once))
        return {gauge: units * at_once / period for gauge, units in added.items()}


def _period(params: Mapping[str, Any], natural: int) -> int:
    return max(PERIODS.get(params["pattern"], 1), math.ceil(natural / params["rate"]))


def _size(params: Mapping[str, Any], natural: int, period: int, at_once: int) -> int:
    return max(0, round(params["rate"] * period / at_once) - natural)


class World:
    """What the steps of a leak use: what was kept, and what stands beside it."""

    def __init__(self, run: Run, natural: int) -> None:
        params = vars(run.params)
        self.rng, self.kept = run.rng, []
        self.period = _period(params, natural)
        self.at_once = self.period if params["pattern"] == "stairs" else 1
        self.size = _size(params, natural, self.period, self.at_once)
        self.first = ONSET if params["pattern"] == "late" else 0
        self.noise, self.slots = params["noise"], [b""] * _SLOTS
        self.mean = min(params["beside"] * params["rate"] * 300, _MOST_BYTES) / _ENTRIES
        self.cache: dict[int, bytes] = {}
        for key in range(_ENTRIES if self.mean else 0):
            self.put(key)

    def due(self, step: int) -> int:
        """Return how many leaks are due at a step."""
        return self.at_once if step >= self.first and step % self.period == 0 else 0

    def put(self, key: int) -> None:
        """Write an entry of the cache."""
        self.cache[key] = bytes(int(self.mean * self.rng.uniform(0.5, 1.5)))

    def go_on(self, step: int) -> None:
        """Renew a part of what stands beside the leak."""
        for _ in range(_RENEWED if self.mean else 0):
            self.put(self.rng.randrange(_ENTRIES))
        if self.noise:
            self.slots[step % _SLOTS] = bytes(self.rng.randrange(self.noise))


def pair(
    acquire: Callable[[int, int], Any],
    release: Callable[[Any], Any] = lambda _: None,
    *,
    leaks: str,
    workloads: list[Mapping[str, Any]],
    natural: int = 1,
    units: Callable[[int], Mapping[str, float]] = lambda _: {},
    rlimits: Mapping[str, int] | None = None,
) -> Work:
    """Return the scenario of something that must be released.

    Parameters
    ----------
    acquire : callable
        Given the step and a number of bytes; may be a coroutine function.
    release : callable
        Given what was acquired; nothing to do where forgetting it is enough.
    leaks : str
        The gauge in which the leak shows best.
    """
    made = Work(
        steps=STEPS,
        warmup=WARMUP,
        block=BLOCK,
        params={"rate": 1.0, "pattern": "every", "noise": 0, "beside": 0.0},
        rlimits=rlimits or {},
        stacks=False,
    )
    made.workloads, made.natural, made.units = workloads, natural, units

    @made.setup
    def world(run: Run) -> Generator[World]:
        here = World(run, natural)
        yield here
        for thing in here.kept:
            release(thing)

    made.variant("leaky", expect={leaks: "leak"})(_stepping(acquire, lambda w, t: w.kept.append(t)))
    made.variant("fixed")(_stepping(acquire, lambda _, thing: release(thing)))
    return made


def _stepping(acquire: Callable[..., Any], then: Callable[[World, Any], Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(acquire):

        async def step(number: int, world: World) -> None:
            for _ in range(world.due(number)):
                then(world, await acquire(number, world.size))
            world.go_on(number)

    else:

        def step(number: int, world: World) -> None:
            for _ in range(world.due(number)):
                then(world, acquire(number, world.size))
            world.go_on(number)

    return step


def benign(
    step: Callable[..., Any],
    *,
    workloads: list[Mapping[str, Any]] | None = None,
    close: Callable[..., Any] | None = None,
    **params: Any,
) -> Work:
    """Return the scenario of something that grows and is no leak.

    Parameters
    ----------
    step : callable
        Given the step's number and the `Run`.
    close : callable, optional
        Called with the `Run` when the load ends.
    """
    made = Work(steps=STEPS, warmup=WARMUP, block=BLOCK, params=params, stacks=False)
    made.workloads, made.natural, made.units = workloads or [{}], 1, lambda _: {}
    made.variant("benign", close=close)(step)
    return made


def chunk(size: int) -> int:
    """Return the bytes that glibc takes for a block: a header, and steps of 16."""
    return max(32, (size + 8 + 15) // 16 * 16)
