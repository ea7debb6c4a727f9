"""A cache that estimates the size of its entries is bounded, but not by its stated limit.

A cache of query results may take 1 MiB, and evicts the oldest (ours). Each step adds one result,
read from a real sqlite3 log: 100 rows with a message of 5 kB each, 514 kB.

- `leaky` counts 100 bytes per cell, 20 kB for the result. The cache takes 52 results, 26 MB. There
  it stays, so growth is not unbounded: the cache is wrong by a factor, as large as the cells.
- `proposed` takes the mean of the first ten rows: 505 kB for the result, and the limit holds.
- `proposed_short_cells`: messages of 10 letters. The objects that hold the cells are not counted,
  and the cache takes 1.7 times its limit; the old estimate kept it (`leaky_short_cells`).
- `proposed_sorted_by_size`: the first ten rows are short ones, as a sort order that correlates with
  the size would have it. The cache takes 53 times its limit, twice as much as before.
- `fixed`, ours, stores the serialised result and counts its bytes. A hit pays for decoding.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from resleak.workload.scenario import Limit, Run, Scenario

MAX_BYTES = 2**20
scenario = Scenario(
    seed="003#5",
    claim="an estimate of 100 bytes per cell lets large results past the limit: unbounded growth",
    condition="large rows of one size, in a cache that evicts by its estimated total (ours; the "
    "document's refuses oversized results). Sorted by size they exceed it again; short ones only "
    "with the fix",
    language="Python",
    symptoms={"held": "broken", "heap": "leak"},
    outcome="partly",
    fix="holds",
    gauges=("heap",),
    control="fds",
    limits=[Limit("held", at_most=MAX_BYTES, source="the limit that the cache is given")],
    steps=120,
    warmup=130,
    params={"rows": 100, "short": 0, "length": 5000},
    stacks=False,
)
Result = dict[str, Any]
Row = tuple[int, str]


class QueryCache:
    """Results by query, the oldest evicted first; sizes are estimated in bytes."""

    def __init__(self, estimate: Callable[[Result], float]) -> None:
        self.estimate = estimate
        self.entries: OrderedDict[int, tuple[Any, float]] = OrderedDict()
        self.estimated, self.held = 0.0, 0
        self.evictions, self.began = 0, time.monotonic()

    def put(self, query: int, result: Result) -> None:
        size = self.estimate(result)
        self.entries[query] = (result, size)
        self.estimated, self.held = self.estimated + size, self.held + weight(result)
        while self.estimated > MAX_BYTES:
            _, (result, size) = self.entries.popitem(last=False)
            self.evictions += 1
            self.estimated, self.held = self.estimated - size, self.held - weight(result)


def weight(result: Result) -> int:
    """Return the actual size of a result."""
    if "json" in result:
        return sys.getsizeof(result["json"])
    rows = sum(sys.getsizeof(row) + sum(map(sys.getsizeof, row)) for row in result["data"])
    return sys.getsizeof(result["data"]) + rows


def hundred_bytes_per_cell(result: Result) -> float:
    return len(result["data"]) * len(result["columns"]) * 100


def mean_of_first_ten_rows(result: Result) -> float:
    data: list[Row] = result["data"]
    sample = sum(sum(map(sys.getsizeof, row)) for row in data[:10])
    return sample / min(10, len(data)) * len(data)


ESTIMATES = {"leaky": hundred_bytes_per_cell, "proposed": mean_of_first_ten_rows}


class Api:
    """Runs queries and caches their results."""

    def __init__(self, run: Run, db: sqlite3.Connection) -> None:
        self.cache = QueryCache(ESTIMATES.get(run.variant.split("_")[0], weight))
        # One cursor for all: a connection keeps weak references to 200 dead ones before it prunes.
        self.cursor = db.execute("CREATE TABLE log (id INTEGER PRIMARY KEY, message TEXT)")
        short, length = run.params.short, run.params.length
        rows = ((n, "x" * (10 if n < short else length)) for n in range(run.params.rows))
        self.cursor.executemany("INSERT INTO log VALUES (?, ?)", rows)

    def query(self) -> Result:
        self.cursor.execute("SELECT id, message FROM log ORDER BY id")
        return {"columns": ["id", "message"], "data": self.cursor.fetchall()}


@scenario.setup
def api(run: Run) -> Iterator[Api]:
    with closing(sqlite3.connect(":memory:")) as db:
        yield Api(run, db)


@scenario.gauge("B")
def held(api: Api) -> float:
    """Bytes of all results in the cache."""
    return api.cache.held


@scenario.gauge("evictions", kind="measure")
def evictions_per_minute(api: Api) -> float:
    """Results evicted per minute since the start: each step evicts one, as fast as it can."""
    return 60 * api.cache.evictions / (time.monotonic() - api.cache.began)


@scenario.variant("leaky", expect={"held": "broken"}, origin="document code")
@scenario.variant("leaky_short_cells", length=10)
@scenario.variant("proposed", origin="document code")
@scenario.variant("proposed_short_cells", expect={"held": "broken"}, length=10)
@scenario.variant("proposed_sorted_by_size", expect={"held": "broken"}, short=10)
def rows(step: int, api: Api) -> None:
    """Cache the rows of one more query."""
    api.cache.put(step, api.query())


@scenario.variant(short=10)
def fixed(step: int, api: Api) -> None:
    """Cache the serialised rows of one more query, whose size is exact."""
    api.cache.put(step, {"json": json.dumps(api.query()).encode()})
