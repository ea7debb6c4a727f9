"""Reading a whole Parquet file takes memory in proportion to its rows; row batches do not.

Time series of 100 000 to 800 000 rows, whose values repeat as monitoring data do. Memory is the
peak of the process in each step, and Arrow allocates from the system's allocator.

- `leaky` reads the whole file into a table: 5 MB for 100 000 rows, 32 MB for 800 000; 8 000 000
  rows, in a run by hand, took 290 MB.
- `proposed`: batches if the file is larger than a threshold, whole otherwise. The document's 100 MB
  are 1 MB here, as the files are 0.6 to 4.8 MB: bounded.
- `proposed_at_100_mb`: the threshold as printed. It bounds size on disk, not in memory: files below
  it take as much as in `leaky`.
- `fixed`, ours, reads every file in batches: 3 to 5 MB, and 7 MB for 8 000 000 rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from resleak.workload.scenario import Limit, Run, Scenario, Sweep

scenario = Scenario(
    seed="003#20",
    claim="large Parquet files are read whole instead of being streamed",
    condition="files above the threshold, here 1 MB (100 MB in the document); smaller ones still "
    "take all their rows",
    language="Python",
    symptoms={"step_peak": "scales"},
    outcome="reproduced",
    fix="holds",
    control="fds",
    limits=[Limit("rows_missing", at_end=0, source="batches together are the whole file")],
    sweeps=[Sweep("step_peak", "rows", floor=5e6, source="a reader needs only its current rows")],
    steps=20,
    warmup=5,
    block=5,
    params={
        "sizes": [100_000, 200_000, 400_000, 800_000],
        "group": 50_000,
        "batch": 10_000,
        "stream_above": 1e6,
    },
    requires=("pyarrow",),
    extra="arc",
    stacks=False,
)


class Storage:
    """Files of several sizes, and their readers."""

    def __init__(self, run: Run) -> None:
        self.params, self.folder = run.params, run.workdir
        self.rows = self.rows_missing = 0
        for rows in self.params.sizes:
            self._write(rows)

    def _write(self, rows: int) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = pa.schema({"time": pa.int64(), "usage": pa.float64(), "idle": pa.float64()})
        with pq.ParquetWriter(self._path(rows), schema) as writer:
            for start in range(0, rows, self.params.group):
                times = range(start, min(start + self.params.group, rows))
                usage = [time // 60 % 100 / 100 for time in times]
                columns = [list(times), usage, usage]
                writer.write_table(pa.table(columns, schema=schema))

    def _path(self, rows: int) -> Path:
        return self.folder / f"{rows}.parquet"

    def next(self, step: int) -> Path:
        self.rows = self.params.sizes[step % len(self.params.sizes)]
        return self._path(self.rows)

    def read_whole(self, path: Path) -> int:
        import pyarrow as pa
        import pyarrow.parquet as pq

        content = path.read_bytes()
        return int(pq.read_table(pa.BufferReader(content), use_threads=False).num_rows)

    def read_batches(self, path: Path) -> int:
        import pyarrow.parquet as pq

        with pq.ParquetFile(path, pre_buffer=False) as file:
            batches = file.iter_batches(self.params.batch, use_threads=False)
            return sum(batch.num_rows for batch in batches)


@scenario.setup
def storage(run: Run) -> Iterator[Storage]:
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())
    pa.set_cpu_count(1)
    yield Storage(run)


@scenario.gauge("rows", kind="measure")
def rows(storage: Storage) -> float:
    """Rows in the file."""
    return storage.rows


@scenario.gauge("rows", kind="counter")
def rows_missing(storage: Storage) -> float:
    """Rows that were not read, over all files."""
    return storage.rows_missing


@scenario.variant(expect={"step_peak": "scales"}, origin="document words")
def leaky(step: int, storage: Storage) -> None:
    """Read the whole file."""
    path = storage.next(step)
    storage.rows_missing += storage.rows - storage.read_whole(path)


@scenario.variant("proposed", origin="document words")
@scenario.variant("proposed_at_100_mb", expect={"step_peak": "scales"}, stream_above=100e6)
def proposed(step: int, storage: Storage) -> None:
    """Read a file that is large on disk in batches, and others whole."""
    path = storage.next(step)
    large = path.stat().st_size > storage.params.stream_above
    read = storage.read_batches if large else storage.read_whole
    storage.rows_missing += storage.rows - read(path)


@scenario.variant()
def fixed(step: int, storage: Storage) -> None:
    """Read in batches of rows."""
    path = storage.next(step)
    storage.rows_missing += storage.rows - storage.read_batches(path)
