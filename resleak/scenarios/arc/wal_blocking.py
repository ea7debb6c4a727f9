"""A write-ahead log that waits for the disk stops the event loop; with aiofiles it does not.

A log appends records to one file: header and data in one write, then an fsync (our addition). In
each step four tasks append 16 kB each. `stalls` counts the appends during which no other task got a
turn, which does not depend on the speed of the disk; `append_s` has the time of one.

- `leaky`: every append is a stall, of 9 ms on an ext4 disk; the loop lags by 30 to 50 ms per step.
- `leaky_without_fsync`, as the document has it: every append still blocks, but for microseconds. It
  would go unnoticed; `proposed_without_fsync` blocks nothing, and its round trips take longer.
- `leaky_open_per_write`, as "`open()` and `write()` calls" may mean: the same stalls.
- `proposed`, and `proposed_open_per_write`: the same calls through aiofiles. No stall, and every
  record can be read back. Each call is a round trip to a thread.
- `proposed_two_writes`: with the header in a write of its own each `await` lets the next task
  write: four headers come first, then the data of all. Of 96 records not one can be read back.
- `fixed`, ours: an append is one round trip to a thread, and a lock keeps the appends in order.
"""

from __future__ import annotations

import asyncio
import os
import struct
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="003#9",
    claim="the synchronous open and write of the write-ahead log block the event loop",
    condition="each append of 16 kB blocks: for 5 to 7 ms with an fsync, which is our addition, "
    "for 0.08 ms without one, where aiofiles takes 0.2 to 0.9 ms. Blocked appends are counted, not "
    "timed (#3 uses a lag of 0.05 s): reproduced also without the fsync. Written in two parts, "
    "records mix up",
    language="Python",
    symptoms={"stalls": "broken"},
    outcome="reproduced",
    fix="holds",
    gauges=("lag_s",),
    control="sockets",
    limits=[
        Limit("stalls", at_end=0, source="others get a turn while an append waits for the disk"),
        Limit("unreadable", at_end=0, source="every appended record can be replayed"),
    ],
    steps=20,
    warmup=4,
    block=1,
    params={"writers": 4, "size": 16_384, "reopens": False, "syncs": True},
    requires=("aiofiles",),
    extra="arc",
    stacks=False,
)
HEADER = struct.Struct(">II")
Append = Callable[[bytes, bytes], Awaitable[None]]


class Wal:
    """A log of records, in a file that stays open as long as the log."""

    def __init__(self, run: Run, file: Any) -> None:
        self.params, self.file, self.lock = run.params, file, asyncio.Lock()
        self.path = run.workdir / "wal.log"
        self.data = run.rng.randbytes(run.params.size)
        self.stalls = self.appended = 0
        self.append_s = 0.0

    def write_and_sync(self, record: bytes) -> None:
        with self.path.open("ab") if self.params.reopens else nullcontext(self.file) as file:
            file.write(record)  # stalls
            file.flush()
            if self.params.syncs:
                os.fsync(file.fileno())  # stalls

    async def burst(self, append: Append) -> None:
        """Let several tasks append at once."""
        writers = [self._append(append) for _ in range(self.params.writers)]
        began = time.perf_counter()
        await asyncio.gather(*writers)
        self.append_s = (time.perf_counter() - began) / self.params.writers

    async def _append(self, append: Append) -> None:
        turn = asyncio.Event()
        asyncio.get_running_loop().call_soon(turn.set)
        header = HEADER.pack(len(self.data), zlib.crc32(self.data))
        await append(header, self.data)
        self.stalls += not turn.is_set()
        self.appended += 1


@scenario.setup
async def wal(run: Run) -> AsyncIterator[Wal]:
    # As many threads as writers, so that all of them exist after the first step.
    threads = ThreadPoolExecutor(run.params.writers)
    asyncio.get_running_loop().set_default_executor(threads)
    path = run.workdir / "wal.log"
    if not run.variant.startswith("proposed"):
        with path.open("ab") as file:
            yield Wal(run, file)
        return
    import aiofiles

    async with aiofiles.open(path, "ab") as file:
        yield Wal(run, file)


@scenario.gauge("appends", kind="counter")
def stalls(wal: Wal) -> float:
    """Appends during which no other task got a turn."""
    return wal.stalls


@scenario.gauge("s", kind="measure")
def append_s(wal: Wal) -> float:
    """Seconds per append, where several tasks append at once."""
    return wal.append_s


@scenario.gauge("records", kind="counter")
def appended(wal: Wal) -> float:
    """Records appended."""
    return wal.appended


@scenario.audit(unreadable="records")
def replay(run: Run, last: Mapping[str, float]) -> dict[str, float]:
    """Read records until one does not match its header."""
    readable = 0
    with (run.workdir / "wal.log").open("rb") as file:
        while header := file.read(HEADER.size):
            size, checksum = HEADER.unpack(header)
            if zlib.crc32(file.read(size)) != checksum:
                break
            readable += 1
    return {"unreadable": last["appended"] - readable}


@scenario.variant("leaky", expect={"stalls": "broken"}, origin="document words")
@scenario.variant("leaky_without_fsync", expect={"stalls": "broken"}, syncs=False)
@scenario.variant("leaky_open_per_write", expect={"stalls": "broken"}, reopens=True)
async def leaky(_step: int, wal: Wal) -> None:
    """Write and sync in the event loop."""

    async def append(header: bytes, data: bytes) -> None:
        wal.write_and_sync(header + data)

    await wal.burst(append)


@scenario.variant("proposed", origin="document words")
@scenario.variant("proposed_without_fsync", syncs=False)
@scenario.variant("proposed_open_per_write", reopens=True)
async def proposed(_step: int, wal: Wal) -> None:
    """Do the same through aiofiles."""
    import aiofiles

    async def append(header: bytes, data: bytes) -> None:
        opened = aiofiles.open(wal.path, "ab") if wal.params.reopens else nullcontext(wal.file)
        async with opened as file:
            await file.write(header + data)
            await file.flush()
            if wal.params.syncs:
                await asyncio.to_thread(os.fsync, file.fileno())

    await wal.burst(append)


@scenario.variant(expect={"unreadable": "broken"})
async def proposed_two_writes(_step: int, wal: Wal) -> None:
    """Write header and data in two calls of aiofiles."""

    async def append(header: bytes, data: bytes) -> None:
        await wal.file.write(header)
        await wal.file.write(data)
        await wal.file.flush()
        await asyncio.to_thread(os.fsync, wal.file.fileno())

    await wal.burst(append)


@scenario.variant()
async def fixed(_step: int, wal: Wal) -> None:
    """Write and sync in one round trip to a thread, one append after the other."""

    async def append(header: bytes, data: bytes) -> None:
        async with wal.lock:
            await asyncio.to_thread(wal.write_and_sync, header + data)

    await wal.burst(append)
