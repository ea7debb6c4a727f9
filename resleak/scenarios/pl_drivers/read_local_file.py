"""Streams opened without a limit reach the limit of open files, and reads fail.

Four hundred concurrent readers under a limit of 256 open files; every tenth requests a stream and
leaves without reading it.

- `leaky` opens the file when the stream is requested; some 150 of 400 reads per step fail: EMFILE.
- `fixed`: a semaphore that is held until the file is closed, on every path. No read fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from io import BufferedReader
from pathlib import Path

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="000#1",
    claim="thousands of concurrent reads exhaust the descriptors: EMFILE",
    condition="more concurrent reads than the hard limit of open files, to which Node raises its "
    "own (256 here). The fix needs a slot that is kept until the stream closes. In Node an unread "
    "stream (ours) keeps its descriptor with the fix, too; it decides nothing",
    language="TypeScript",
    symptoms={"failed_reads": "broken"},
    outcome="reproduced",
    fix="holds",
    gauges=("fds",),
    control="threads",
    limits=[Limit("failed_reads", at_end=0, source="a local file that exists can be read")],
    steps=20,
    warmup=10,
    block=5,
    params={"readers": 400, "budget": 64, "files": 20, "size": 20_000},
    rlimits={"RLIMIT_NOFILE": 256},
    stacks=False,
)
Open = Callable[[Path], AbstractAsyncContextManager[BufferedReader]]


class Download:
    """Streams of local files, for many readers at once."""

    def __init__(self, run: Run) -> None:
        self.params = run.params
        self.paths = [run.workdir / f"blob-{n}" for n in range(run.params.files)]
        self.budget = asyncio.Semaphore(run.params.budget)
        self.failed_reads = self.peak_fds = 0

    @asynccontextmanager
    async def unlimited(self, path: Path) -> AsyncIterator[BufferedReader]:
        yield await asyncio.to_thread(path.open, "rb")

    @asynccontextmanager
    async def budgeted(self, path: Path) -> AsyncIterator[BufferedReader]:
        async with self.budget:
            stream = await asyncio.to_thread(path.open, "rb")
            try:
                yield stream
            finally:
                stream.close()

    async def read_all(self, open_stream: Open) -> None:
        self.peak_fds = 0
        async with asyncio.TaskGroup() as readers:
            for number in range(self.params.readers):
                readers.create_task(self._read(number, open_stream))

    async def _read(self, number: int, open_stream: Open) -> None:
        try:
            async with open_stream(self.paths[number % len(self.paths)]) as stream:
                # The system assigns the lowest free number: the highest one shows the peak.
                self.peak_fds = max(self.peak_fds, stream.fileno() + 1)
                if number % 10:
                    await self._drain(stream)
        except OSError:
            self.failed_reads += 1

    async def _drain(self, stream: BufferedReader) -> None:
        while await asyncio.to_thread(stream.read, 16_384):
            pass
        stream.close()


@scenario.setup
def download(run: Run) -> Iterator[Download]:
    download = Download(run)
    for path in download.paths:
        path.write_bytes(run.rng.randbytes(run.params.size))
    yield download


@scenario.gauge("descriptors")
def peak_fds(download: Download) -> float:
    """Most descriptors in use at once during the step."""
    return download.peak_fds


@scenario.gauge("reads", kind="counter")
def failed_reads(download: Download) -> float:
    """Reads that failed."""
    return download.failed_reads


@scenario.variant(expect={"failed_reads": "broken"}, origin="document code")
async def leaky(_step: int, download: Download) -> None:
    """Open as many streams as are requested."""
    await download.read_all(download.unlimited)


@scenario.variant(origin="document words")
async def fixed(_step: int, download: Download) -> None:
    """Open as many streams as the budget allows, and close each."""
    await download.read_all(download.budgeted)
