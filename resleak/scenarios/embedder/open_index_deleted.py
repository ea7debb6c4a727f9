"""A deleted index keeps its disk space for as long as a search result is a view of its map.

Each step ingests 64 documents into a new sqlite file and a new memory-mapped index of 64 kB,
searches, cleans up and deletes both files; the last 1 000 results are kept. What Windows refuses
("file in use") Linux allows: the name disappears, and the file stays until it is closed everywhere.
Retrying, the document's work-around, has nothing to retry here: no call fails.

- `leaky`: the printed clean-up closes the store and leaves the index to its last reference. The
  kept result is a view of the map: 1 descriptor, 1 deleted file and 65 536 B of disk per step,
  which `ls` and `du` do not show.
- `leaky_results_dropped`: without a kept view CPython unmaps the index at once: nothing is
  retained. So the claim is true for the index, and only while something refers to it; the printed
  clean-up closes the store on every system.
- `proposed`, closing the files explicitly: the map refuses ("cannot close exported pointers
  exist"), and a clean-up that continues after errors hides the refusal. Nothing is gained. (The
  refusal is right: with the map gone, reading the result would crash the process.)
- `fixed`: the search returns a copy of 1 kB, and both are closed explicitly.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from stat import S_ISREG
from typing import Any

from resleak.scenarios import _embedders
from resleak.workload.scenario import Run, Scenario

scenario = Scenario(
    seed="001 2.2",
    claim="cleanup() leaves database and index files open, so that they cannot be deleted",
    symptoms={"fds": "leak", "deleted_open": "leak", "disk_held": "leak"},
    outcome="reproduced",
    fix="insufficient",
    gauges=("fds",),
    control="threads",
    steps=120,
    warmup=30,
    params={"documents": 64, "dim": 256, "results_kept": 1000},
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

    def delete(self) -> None:
        for path in self.paths:
            path.unlink()


class Library:
    """Keeps the last search results; the list is full when the run begins."""

    def __init__(self, run: Run) -> None:
        import numpy as np

        shape = (run.params.documents, run.params.dim)
        self.vectors = np.random.default_rng(run.seed).normal(size=shape).astype(np.float32)
        results = (self.vectors[0].copy() for _ in range(run.params.results_kept))
        self.run, self.results = run, deque[Any](results, run.params.results_kept)

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


def deleted_sizes() -> Iterator[int]:
    """Yield the disk usage in bytes of each open file that has no name any more."""
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):  # the descriptor of the listing itself
            status = os.fstat(int(name))
            if S_ISREG(status.st_mode) and status.st_nlink == 0:
                yield status.st_blocks * 512


@scenario.gauge("files")
def deleted_open(_library: Library) -> float:
    """Files that are deleted but open."""
    return sum(1 for _ in deleted_sizes())


@scenario.gauge("B")
def disk_held(_library: Library) -> float:
    """Disk usage in bytes of files that are deleted but open."""
    return sum(deleted_sizes())


HELD = {"fds": "leak", "deleted_open": "leak", "disk_held": "leak"}


@scenario.variant("leaky", expect=HELD)
@scenario.variant("leaky_results_dropped", results_kept=0)
def leaky(step: int, library: Library) -> None:
    """Close the store, and delete both files."""
    pipeline = library.fill(step)
    library.results.append(library.search(pipeline))
    pipeline.cleanup()
    pipeline.delete()


@scenario.variant(expect=HELD)
def proposed(step: int, library: Library) -> None:
    """Close the index explicitly as well, which fails while a result refers to it."""
    pipeline = library.fill(step)
    library.results.append(library.search(pipeline))
    pipeline.cleanup_explicitly()
    pipeline.delete()


@scenario.variant()
def fixed(step: int, library: Library) -> None:
    """Return a copy of the result, then close both."""
    pipeline = library.fill(step)
    library.results.append(library.search(pipeline).copy())
    pipeline.cleanup_explicitly()
    pipeline.delete()
