"""An aborted download closes its descriptor, but leaves its partial file on disk.

An archive is downloaded to a file; in each step one download completes and one is cancelled
halfway. Complete downloads are removed. The last 200 errors are kept, in a log that starts full.

- `leaky`, as printed: `pipeTo()` closes its target on every path, so the document's guess is right:
  no descriptor stays. But closing is all it does, which is our own finding: each abort leaves half
  an archive under the archive's own name, for good. Node does the same (`zip_write_abort.mjs`).
- `leaky_no_pipe` writes chunk by chunk and closes after the last one. Each kept error then also
  holds a descriptor, because the error holds the frame.
- `leaky_no_pipe_forgotten`: the same without kept errors. The descriptors are closed with the last
  reference, at once: in CPython that is luck, not clean-up.
- `fixed`, ours, downloads under a temporary name, removes it on every failure, and renames complete
  files. Nothing remains, and no reader can mistake half an archive for a whole one.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from resleak.workload.scenario import Run, Scenario

scenario = Scenario(
    seed="000#5",
    claim="a write stream may leak when its download is aborted; pipeTo() likely cleans up",
    condition="never after an abort (all that was run): pipeTo() closes the file, as the document "
    "guesses; a partial file stays after the two printed lines, which is our finding",
    language="TypeScript",
    symptoms={"fds": "leak"},
    outcome="not reproduced",
    gauges=("fds",),
    control="threads",
    steps=120,
    warmup=30,
    params={"chunks": 8, "chunk_size": 8192, "errors_kept": 200},
)
Chunks = AsyncIterator[bytes]
Save = Callable[[Chunks, Path], Awaitable[None]]


class Archives:
    """Downloads archives, some of which are cancelled before they are complete."""

    def __init__(self, run: Run) -> None:
        self.params, self.folder = run.params, run.workdir / "archives"
        self.folder.mkdir()
        self.chunk = run.rng.randbytes(run.params.chunk_size)
        self.errors: deque[BaseException] = deque(maxlen=run.params.errors_kept)
        self.halfway = asyncio.Event()

    async def content(self) -> Chunks:
        for number in range(self.params.chunks):
            if number == self.params.chunks // 2:
                self.halfway.set()
            await asyncio.sleep(0)  # the next chunk is still on its way: the abort comes here
            yield self.chunk

    async def download(self, name: str, save: Save) -> None:
        await save(self.content(), self.folder / name)
        (self.folder / name).unlink()

    async def abort(self, name: str, save: Save) -> None:
        self.halfway.clear()
        task = asyncio.create_task(self.download(name, save))
        await self.halfway.wait()
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as error:
            self.errors.append(error)


async def pipe_to(content: Chunks, path: Path) -> None:
    with path.open("wb", buffering=0) as target:
        async for chunk in content:
            target.write(chunk)


@scenario.setup
async def archives(run: Run) -> AsyncIterator[Archives]:
    archives = Archives(run)
    for step in range(-run.params.errors_kept, 0):
        await fixed(step, archives)
    yield archives


@scenario.gauge("files")
def files_left(archives: Archives) -> float:
    """Files in the folder of archives."""
    return len(os.listdir(archives.folder))


async def serve(step: int, archives: Archives, save: Save) -> None:
    await archives.download(f"whole-{step}.zip", save)
    await archives.abort(f"aborted-{step}.zip", save)


@scenario.variant(expect={"files_left": "leak"}, origin="document code")
async def leaky(step: int, archives: Archives) -> None:
    """Pipe into the file, which closes it on every path."""
    await serve(step, archives, pipe_to)


@scenario.variant("leaky_no_pipe", expect={"files_left": "leak", "fds": "leak"})
@scenario.variant("leaky_no_pipe_forgotten", expect={"files_left": "leak"}, errors_kept=0)
async def leaky_no_pipe(step: int, archives: Archives) -> None:
    """Close the file after the last chunk, which a cancellation skips."""

    async def save(content: Chunks, path: Path) -> None:
        target = path.open("wb", buffering=0)  # opens
        async for chunk in content:
            target.write(chunk)
        target.close()

    await serve(step, archives, save)


@scenario.variant()
async def fixed(step: int, archives: Archives) -> None:
    """Rename the file when it is complete, and remove it when it will not be."""

    async def save(content: Chunks, path: Path) -> None:
        partial = path.with_suffix(".part")
        try:
            await pipe_to(content, partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    await serve(step, archives, save)
