"""One row that cannot be written prevents every later flush of its buffer.

An ingest endpoint collects rows and writes them to Parquet with pyarrow, 100 at a time. Each step
brings a request of ten rows; in every twentieth request one value is text instead of a number.

- `leaky` clears the buffer after the write, which the exception skips. The bad row stays, so every
  later flush fails as well: rows pile up, 10 rows and 3.3 kB per step, and at the end 1 500 of 1
  600 accepted rows are in no file.
- `proposed_cleared`: the buffer is emptied on every path. Memory is flat, and each bad row discards
  the 99 good ones of its buffer: 800 of 1 600 rows lost. The document says "flush".
- `fixed`, a flush on every path: rows that do not fit the schema go into a separate file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="003#8",
    claim="the Parquet buffer is not flushed after certain exceptions, and overflows",
    condition="a row that cannot be written; the fix read as: such rows go to a file of their own "
    "(our reading). A flush that only empties the buffer loses the others",
    language="Python",
    symptoms={"buffered": "leak", "heap": "leak"},
    outcome="reproduced",
    fix="holds",
    gauges=("heap",),
    control="fds",
    limits=[Limit("rows_lost", at_end=0, source="every accepted row is written or set aside")],
    steps=120,
    warmup=40,
    params={"rows_per_request": 10, "max_rows": 100, "bad_every": 20},
    requires=("pyarrow",),
)
Row = dict[str, Any]


class ArrowWriter:
    """Collects rows and writes them to Parquet files."""

    def __init__(self, run: Run) -> None:
        import pyarrow
        from pyarrow import parquet

        self.run, self.buffer, self.accepted, self.files = run, list[Row](), 0, 0
        columns = {"host": pyarrow.string(), "value": pyarrow.float64(), "time": pyarrow.int64()}
        self.schema = pyarrow.schema(columns.items())
        self.table, self.wrong = pyarrow.Table.from_pylist, pyarrow.ArrowException
        self.write_table, self.rejects = parquet.write_table, run.workdir / "rejected.jsonl"

    def add(self, body: str) -> bool:
        """Add the rows of a request, and return True if the buffer is full."""
        rows = json.loads(body)
        self.buffer += rows
        self.accepted += len(rows)
        return bool(len(self.buffer) >= self.run.params.max_rows)

    def write(self) -> None:
        table = self.table(self.buffer, self.schema)
        self.write_table(table, self.run.workdir / f"cpu-{self.files}.parquet")
        self.files += 1

    def fits(self, row: Row) -> bool:
        with suppress(self.wrong):
            return bool(self.table([row], self.schema))
        return False

    def put_aside(self) -> None:
        bad = [row for row in self.buffer if not self.fits(row)]
        with self.rejects.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in bad)
        self.buffer = [row for row in self.buffer if row not in bad]


class LeakyWriter(ArrowWriter):
    """Clears the buffer after a successful write."""

    def flush(self) -> None:
        self.write()
        self.buffer.clear()


class ClearingWriter(ArrowWriter):
    """Clears the buffer in any case."""

    def flush(self) -> None:
        try:
            self.write()
        finally:
            self.buffer.clear()


class FixedWriter(ArrowWriter):
    """Sets aside rows that cannot be written."""

    def flush(self) -> None:
        try:
            self.write()
        except self.wrong:
            self.put_aside()
            self.write()
        self.buffer.clear()


AnyWriter = LeakyWriter | ClearingWriter | FixedWriter
WRITERS: dict[str, type[AnyWriter]] = {
    "leaky": LeakyWriter,
    "proposed_cleared": ClearingWriter,
    "fixed": FixedWriter,
}


@scenario.setup
def writer(run: Run) -> Iterator[AnyWriter]:
    yield WRITERS[run.variant](run)


@scenario.gauge("rows")
def buffered(writer: AnyWriter) -> float:
    """Rows in the buffer."""
    return len(writer.buffer)


@scenario.gauge("rows", kind="counter")
def accepted(writer: AnyWriter) -> float:
    """Rows accepted from requests."""
    return writer.accepted


@scenario.audit(rows_lost="rows")
def count_rows(run: Run, last: Mapping[str, float]) -> dict[str, float]:
    from pyarrow import parquet

    files = run.workdir.glob("cpu-*.parquet")
    written = sum(parquet.read_metadata(file).num_rows for file in files)
    rejects = run.workdir / "rejected.jsonl"
    written += len(rejects.read_text().splitlines()) if rejects.exists() else 0
    return {"rows_lost": last["accepted"] - written}


def shut_down(writer: AnyWriter) -> None:
    if writer.buffer:
        with suppress(writer.wrong):
            writer.flush()


@scenario.variant(
    "leaky",
    expect={"buffered": "leak", "heap": "leak", "rows_lost": "broken"},
    close=shut_down,
    origin="document words",
)
@scenario.variant("proposed_cleared", expect={"rows_lost": "broken"}, close=shut_down)
@scenario.variant("fixed", close=shut_down, origin="document words")
def ingest(step: int, writer: AnyWriter) -> None:
    """Accept a request, and flush the buffer when it is full."""
    params = writer.run.params
    rows: list[Row] = [
        {"host": f"host-{n}", "value": float(step), "time": step}
        for n in range(params.rows_per_request)
    ]
    if step % params.bad_every == params.bad_every // 2:
        rows[0]["value"] = "n/a"
    if writer.add(json.dumps(rows)):
        with suppress(writer.wrong):  # the sender of this request gets an error
            writer.flush()
