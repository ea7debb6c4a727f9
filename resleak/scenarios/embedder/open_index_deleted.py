"""The printed clean-up leaves the index open, so that its file is deleted while it is in use.

Each step ingests 64 documents into a new sqlite file and a memory-mapped index of 64 kB, searches,
cleans up and deletes both. Windows refuses to delete an open file; here these are counted.

- `leaky`: the printed clean-up closes the store, and leaves the index to its last reference, which
  the caller still has: 1 of 2 files is open when it is deleted. No descriptor stays.
- `leaky_results_kept`: our addition, 1 000 kept results that are views of the map. Each holds its
  index: 1 descriptor, 1 deleted file and 65 536 B of disk per step, which `ls` does not show.
- `proposed`, closing the files explicitly: none is open when it is deleted.
- `proposed_results_kept`: with such results the map refuses ("cannot close exported pointers
  exist"), and a clean-up that continues after errors hides it. (The document's step 7, to verify
  the clean-up, would tell. The refusal is right: reading the result would crash the process.)
- `fixed`, ours: the search returns a copy of 1 kB, and both are closed explicitly.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from stat import S_ISREG
from typing import Any

from resleak.scenarios import _embedders
from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="001 2.2",
    claim="cleanup() leaves database and index files open, so that they cannot be deleted",
    condition="only the index, a memory map (ours), is open when it is deleted, which Windows "
    "would refuse (counted on Linux); the store is closed. In CPython until the last reference "
    "goes; a search result may be one, and the fix cannot close the map then",
    language="TypeScript",
    symptoms={"in_use": "broken", "fds": "leak"},
    outcome="partly",
    fix="holds",
    gauges=("fds",),
    control="threads",
    limits=[Limit("in_use", at_end=0, source="a file can be deleted after the clean-up")],
    steps=120,
    warmup=30,
    params={"documents": 64, "dim": 256, "results_kept": 0},
    requires=("numpy",),
    extra="embedder",
    stacks=False,
)


class Pipeline:
    """Ingests documents into a store and a memory-mapped index of 64 kB."""

    def __init__(self, run: Run, name: str) -> None:
        self.paths = [run.workdir / f"{name}.sqlite", run.workdir / f"{name}.bin"]
        self.db = _embedders.open_store(self.paths[0])
        self.index = _embedders.Index(self.paths[1], run.params.documents, run.params.dim)  # opens

    def ingest(self, vectors: Any) -> None:
        rows = [(row, f"document {row}") for row in range(len(vectors))]
        self.db.execute("BEGIN")
        self.db.executemany("INSERT INTO documents VALUES (?, ?)", rows)
        self.db.execute("COMMIT")
        self.index.put(0, vectors)

    def cleanup(self) -> None:
        self.db.close()  # the printed clean-up: the index goes with its last reference

    def cleanup_explicitly(self) -> None:
        self.db.close()
        with suppress(BufferError):  # "cannot close exported pointers exist"
            self.index.close()

    def delete(self) -> int:
        """Delete both files, and return how many of them were still open."""
        open_files = set(open_inodes())
        in_use = sum(path.stat().st_ino in open_files for path in self.paths)
        for path in self.paths:
            path.unlink()
        return in_use


class Library:
    """Keeps the last search results; the list is full when the run begins."""

    def __init__(self, run: Run) -> None:
        import numpy as np

        shape = (run.params.documents, run.params.dim)
        self.vectors = np.random.default_rng(run.seed).normal(size=shape).astype(np.float32)
        results = (self.vectors[0].copy() for _ in range(run.params.results_kept))
        self.run, self.in_use = run, 0
        self.results = deque[Any](results, run.params.results_kept)

    def fill(self, step: int) -> Pipeline:
        pipeline = Pipeline(self.run, f"{step}")
        pipeline.ingest(self.vectors)
        return pipeline

    def search(self, pipeline: Pipeline) -> Any:
        index = pipeline.index
        return index.rows()[index.nearest(self.vectors[self.run.rng.randrange(len(self.vectors))])]


@scenario.setup
def library(run: Run) -> Iterator[Library]:
    yield Library(run)


def open_files() -> Iterator[os.stat_result]:
    """Yield the status of each regular file that is open."""
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):  # the descriptor of the listing itself
            status = os.fstat(int(name))
            if S_ISREG(status.st_mode):
                yield status


def open_inodes() -> Iterator[int]:
    return (status.st_ino for status in open_files())


def deleted_sizes() -> Iterator[int]:
    """Yield the disk usage in bytes of each open file that has no name any more."""
    return (one.st_blocks * 512 for one in open_files() if one.st_nlink == 0)


@scenario.gauge("files", kind="counter")
def in_use(library: Library) -> float:
    """Files that were still open when they were deleted."""
    return library.in_use


@scenario.gauge("files")
def deleted_open(_library: Library) -> float:
    """Files that are deleted but open."""
    return sum(1 for _ in deleted_sizes())


@scenario.gauge("B")
def disk_held(_library: Library) -> float:
    """Disk usage in bytes of files that are deleted but open."""
    return sum(deleted_sizes())


HELD = {"in_use": "broken", "fds": "leak", "deleted_open": "leak", "disk_held": "leak"}


@scenario.variant("leaky", expect={"in_use": "broken"}, origin="document words")
@scenario.variant("leaky_results_kept", expect=HELD, results_kept=1000)
def leaky(step: int, library: Library) -> None:
    """Close the store, and delete both files."""
    pipeline = library.fill(step)
    library.results.append(library.search(pipeline))
    pipeline.cleanup()
    library.in_use += pipeline.delete()


@scenario.variant("proposed", origin="document words")
@scenario.variant("proposed_results_kept", expect=HELD, results_kept=1000)
def proposed(step: int, library: Library) -> None:
    """Close the index explicitly as well, which fails while a result refers to it."""
    pipeline = library.fill(step)
    library.results.append(library.search(pipeline))
    pipeline.cleanup_explicitly()
    library.in_use += pipeline.delete()


@scenario.variant(results_kept=1000)
def fixed(step: int, library: Library) -> None:
    """Return a copy of the result, then close both."""
    pipeline = library.fill(step)
    library.results.append(library.search(pipeline).copy())
    pipeline.cleanup_explicitly()
    library.in_use += pipeline.delete()
