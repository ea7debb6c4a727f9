"""An unpaginated result takes memory in proportion to its rows; with a cursor it does not.

A query of ten to eighty thousand rows over HTTP, by a client that reads the response and keeps none
of it. Memory is the peak of the process in that step. The rows are in SQLite, because in DuckDB
2.0.0 each `ORDER BY ... LIMIT` retains 2.4 kB of native memory until the database is closed.

- `leaky` fetches all rows, builds one text from them and sends it: 5.4 MB for 10 000 rows, 25 MB
  for 80 000, some 0.3 kB per row.
- `fixed`, at most 10 000 rows per response and a cursor: 5.1 to 5.4 MB for any number of rows.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any
from urllib.parse import parse_qs

from resleak.scenarios import _servers
from resleak.workload.scenario import Limit, Run, Scenario, Sweep

scenario = Scenario(
    seed="003#14",
    claim="large results are sent in one response; beyond 10,000 rows they need pages",
    condition="results of more than 10,000 rows, in SQLite; in DuckDB 2.0.0 each page keeps 2.4 kB "
    "until the database is closed",
    language="Python",
    symptoms={"step_peak": "scales"},
    outcome="reproduced",
    fix="holds",
    control="children",
    limits=[Limit("rows_missing", at_end=0, source="pages together are the whole result")],
    sweeps=[Sweep("step_peak", "rows", source="the server chooses the size of a response")],
    steps=8,
    warmup=4,
    block=4,
    params={"sizes": [10_000, 20_000, 40_000, 80_000], "page": 10_000},
    requires=("uvicorn",),
    extra="arc",
    stacks=False,
)
MAKE = "CREATE TABLE cpu (id INTEGER PRIMARY KEY, usage REAL, host TEXT)"
INSERT = "INSERT INTO cpu VALUES (?, ?, ?)"
SELECT = "SELECT * FROM cpu WHERE id > ? AND id < ? ORDER BY id LIMIT ?"


class Api:
    """Answers queries in JSON, and the client that sends them."""

    def __init__(self, run: Run, db: sqlite3.Connection) -> None:
        # One cursor: a connection remembers up to 200 dead ones.
        self.cursor, self.params = db.cursor(), run.params
        self.rows = self.rows_missing = 0
        self.port = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        asked = {
            key: int(value) for key, (value,) in parse_qs(scope["query_string"].decode()).items()
        }
        rows = self.cursor.execute(
            SELECT, [asked["after"], asked["rows"], asked["limit"]]
        ).fetchall()
        body = json.dumps({"data": rows}).encode()
        headers = [(b"x-rows", b"%d" % len(rows)), (b"x-last", b"%d" % rows[-1][0])]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        del rows
        await send({"type": "http.response.body", "body": body})

    async def get(self, after: int, limit: int) -> tuple[int, int]:
        """Read one response and return its number of rows and the last key."""
        target = f"/query?rows={self.rows}&after={after}&limit={limit}"
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET {target} HTTP/1.1\r\nhost: api\r\nconnection: close\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        while await reader.read(65_536):
            pass
        writer.close()
        await writer.wait_closed()
        got = dict(line.split(": ", 1) for line in head.splitlines()[1:-1])
        return int(got["x-rows"]), int(got["x-last"])


@scenario.setup
async def api(run: Run) -> AsyncIterator[Api]:
    with closing(sqlite3.connect(run.workdir / "metrics.db")) as db:
        db.execute(MAKE)
        made = ((id, id / 10, f"host-{id % 100}") for id in range(max(run.params.sizes)))
        db.executemany(INSERT, made)
        db.commit()
        api = Api(run, db)
        async with _servers.in_process(api) as address:
            api.port = int(address.rpartition(":")[2])
            yield api


@scenario.gauge("rows", kind="measure")
def rows(api: Api) -> float:
    """Rows in the result."""
    return api.rows


@scenario.gauge("rows", kind="counter")
def rows_missing(api: Api) -> float:
    """Rows of all results that did not arrive."""
    return api.rows_missing


@scenario.variant(expect={"step_peak": "scales"}, origin="document words")
async def leaky(step: int, api: Api) -> None:
    """Request the whole result."""
    api.rows = api.params.sizes[step % len(api.params.sizes)]
    got, _ = await api.get(after=-1, limit=api.rows)
    api.rows_missing += api.rows - got


@scenario.variant(origin="document words")
async def fixed(step: int, api: Api) -> None:
    """Request page by page, each from the last key of the previous one."""
    api.rows = api.params.sizes[step % len(api.params.sizes)]
    got, last = await api.get(after=-1, limit=api.params.page)
    while last + 1 < api.rows:
        more, last = await api.get(after=last, limit=api.params.page)
        got += more
    api.rows_missing += api.rows - got
