"""A deleted index keeps its place on the disk for as long as a search result shows its map.

Each step ingests 64 documents into a new sqlite file and a new memory-mapped index of 64 kB,
searches, cleans up and deletes both files; the last 1 000 results are kept. What Windows refuses
("file in use") Linux allows: the name goes, and the file stays until nobody has it open. Retrying,
the seed's work-around, has nothing to retry here: no call fails.

- `leaky`: the printed clean-up closes the store and leaves the index to its last reference. The
  result that is kept is a view of the map: 1 descriptor, 1 nameless file and 65 536 B on the disk
  a step, which `ls` and `du` do not show.
- `leaky_results_dropped`: nothing keeps a view, and CPython unmaps the index at once: nothing is
  held. So the claim holds for the index, and only while something refers to it; the store is
  closed by the printed clean-up on every system.
- `proposed`, to close the files explicitly: the map refuses ("cannot close exported pointers
  exist"), and a clean-up that goes on after errors swallows that. Nothing is gained. (Rightly
  refused: with the map gone, to read the result would end the process.)
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
        self.db.close()  # the printed clean-up: the index goes with the last reference to it

    def cleanup_explicitly(self) -> None:
        self.db.close()
        with suppress(BufferError):  # "cannot close exported pointers exist"
            self.index.close()

    def delete(self) -> None:
        for path in self.paths:
            path.unlink()


class Library:
    """Keeps the last search results; there are as many as it keeps when the run begins."""

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
    """Yield the bytes on disk of each file that is open and has no name any more."""
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):  # the descriptor of the listing itself
            status = os.fstat(int(name))
            if S_ISREG(status.st_mode) and status.st_nlink == 0:
                yield status.st_blocks * 512


@scenario.gauge("files")
def deleted_open(_library: Library) -> float:
    """Files that are open and deleted."""
    return sum(1 for _ in deleted_sizes())


@scenario.gauge("B")
def disk_held(_library: Library) -> float:
    """Bytes on disk of files that are open and deleted."""
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
    """Return a copy of what is found, then close both."""
    pipeline = library.fill(step)
    library.results.append(library.search(pipeline).copy())
    pipeline.cleanup_explicitly()
    pipeline.delete()
