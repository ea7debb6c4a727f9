"""Concurrent writes to a sparse file without a limit run out of descriptors.

In each step 160 writers write one range each into one sparse file, under a limit of 128 open files:
open, write, close, as printed, each in a thread as in Node.

- `leaky` has no limit. All writers open the file before the first one writes, and some 40 of 160
  ranges per step are never written: EMFILE. It is a peak: all is closed by the end of the step.
- `proposed`: a semaphore as the budget. All ranges are written, with at most 32 files open.
- `leaky_oversize` and `proposed_oversize`: ten writers, and one that requests more than a file may
  have. `close` is not in a `finally`, so the failed write keeps its descriptor: in Python for good,
  in Node until the collector closes the FileHandle (`sparse_file.mjs`).
- `fixed`, ours: also `close` on every path, with the 160 writers and the oversized one.

With 3 000 writers and the usual limit of 1 024 `leaky` loses 1 984 ranges per step, `fixed` none.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="000#6",
    claim="each write opens the sparse file: under high concurrency the descriptors run out",
    condition="more concurrent writes than the limit of open files, here 160 and 128; in Node the "
    "peak alone was counted. The other readings are Python's: Node collects what they leave. The "
    'fix is the long-term "global limits on concurrent operations", as #6 has none',
    language="TypeScript",
    symptoms={"failed_writes": "broken", "peak_fds": "broken"},
    outcome="reproduced",
    fix="holds",
    gauges=("fds",),
    control="sockets",
    limits=[
        Limit("failed_writes", at_end=0, source="a range that fits can be written"),
        Limit("peak_fds", at_most=64, source="a budget of 32, plus what the process has open"),
    ],
    steps=60,
    warmup=10,
    block=5,
    params={"writers": 160, "budget": 32, "apart": 256 * 1024, "oversized": False},
    rlimits={"RLIMIT_NOFILE": 128, "RLIMIT_FSIZE": 64 * 1024**2},
    stacks=False,
)
DATA = b"x" * 4096
Write = Callable[[int], Awaitable[None]]


class SparseCache:
    """One sparse file, written in ranges."""

    def __init__(self, run: Run) -> None:
        self.params, self.path = run.params, run.workdir / "blob"
        self.budget = asyncio.Semaphore(run.params.budget)
        self.failed_writes = self.peak_fds = 0
        self.path.touch()

    async def open(self) -> int:
        handle = await asyncio.to_thread(os.open, self.path, os.O_RDWR)  # opens
        # The system assigns the lowest free number: the highest one shows the peak.
        self.peak_fds = max(self.peak_fds, handle + 1)
        return handle

    async def write_all(self, write: Write) -> None:
        self.peak_fds = 0
        writes = [write(number * self.params.apart) for number in range(self.params.writers)]
        answers = await asyncio.gather(*writes, return_exceptions=True)
        self.failed_writes += sum(answer is not None for answer in answers)
        if self.params.oversized:  # this one must fail
            await asyncio.gather(write(1024**3), return_exceptions=True)


@scenario.setup
def cache(run: Run) -> Iterator[SparseCache]:
    yield SparseCache(run)


@scenario.gauge("descriptors", kind="measure")
def peak_fds(cache: SparseCache) -> float:
    """Most descriptors in use at once during the step."""
    return cache.peak_fds


@scenario.gauge("writes", kind="counter")
def failed_writes(cache: SparseCache) -> float:
    """Writes that failed although the range fits."""
    return cache.failed_writes


@scenario.variant(
    "leaky", expect={"failed_writes": "broken", "peak_fds": "broken"}, origin="document code"
)
@scenario.variant(
    "leaky_oversize", expect={"fds": "leak", "peak_fds": "broken"}, writers=10, oversized=True
)
async def leaky(_step: int, cache: SparseCache) -> None:
    """Open, write, close, for all writers at once."""

    async def write(offset: int) -> None:
        handle = await cache.open()
        await asyncio.to_thread(os.pwrite, handle, DATA, offset)
        await asyncio.to_thread(os.close, handle)

    await cache.write_all(write)


@scenario.variant("proposed", origin="document words")
@scenario.variant(
    "proposed_oversize", expect={"fds": "leak", "peak_fds": "broken"}, writers=10, oversized=True
)
async def proposed(_step: int, cache: SparseCache) -> None:
    """Open, write, close, for as many writers at once as the budget allows."""

    async def write(offset: int) -> None:
        async with cache.budget:
            handle = await cache.open()
            await asyncio.to_thread(os.pwrite, handle, DATA, offset)
            await asyncio.to_thread(os.close, handle)

    await cache.write_all(write)


@scenario.variant(oversized=True)
async def fixed(_step: int, cache: SparseCache) -> None:
    """Open as many as the budget allows, and close on every path."""

    async def write(offset: int) -> None:
        async with cache.budget:
            handle = await cache.open()
            try:
                await asyncio.to_thread(os.pwrite, handle, DATA, offset)
            finally:
                os.close(handle)

    await cache.write_all(write)
