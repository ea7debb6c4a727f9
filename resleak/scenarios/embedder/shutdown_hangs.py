"""One resource that cannot be cleaned up keeps the others open if they are cleaned up in sequence.

Two stores hold a batch of 50 rows each, which their clean-up writes (real sqlite). Between them is
an index behind a socket, whose clean-up waits for a confirmation that never comes.

- `leaky` cleans up in sequence: it waits for the index for ever. The process has to be killed, and
  the 50 rows of the store after the index are lost, although that store is healthy.
- `leaky_raises`: the index closes its connection instead, and the error ends the sequence. The
  process does exit, in time; the same 50 rows are lost, and nothing reports it.
- `proposed`, the document's `gracefulShutdown`, one timeout around everything: all clean-ups start
  at once, so no row is lost, its log tells which one is missing, and the process ends after the
  whole timeout, 5 s by default. (asyncio cancels the wait; `forceExit`, 1 s more, is left out.)
- `proposed_short`: a timeout of 1.5 s, which also meets the document's goal for a clean-up, 2 s.
- `fixed`, ours: a timeout of 0.5 s each, all at once, and a report of those that failed.
  (It ends a wait in the event loop, not a hanging thread.)
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

from resleak.scenarios import _embedders
from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="001 2.3",
    claim="there is no fallback when a resource cannot be cleaned up: the application hangs",
    condition="clean-ups in sequence, one of which, an index behind a socket (ours), never "
    "returns. Judged by the alert for an exit, 10 s; at 1.2's 2 s the printed 5 s is insufficient, "
    "and 1.5 s holds. In Node (no check) forceExit, the printed default, ends the process; left "
    "out here, where asyncio cancels the rest. The criterion 'without forced process.exit(0)' is "
    "then not met",
    language="TypeScript",
    symptoms={"run": "hangs"},
    outcome="reproduced",
    fix="holds",
    control="fds",
    limits=[
        Limit("exit_s", at_most=10, source="the document's alert for an exit"),
        Limit("rows_lost", at_end=0, source="the other resources are closed"),
        Limit("unreported", at_end=0, source="degrading gracefully includes reporting it"),
    ],
    steps=24,
    warmup=6,
    block=2,
    params={"documents": 50, "timeout_s": 5.0, "timeout_each_s": 0.5, "answers": False},
    exit_deadline_s=11.0,
    stacks=False,
)


class Store:
    """Writes its documents batch by batch, and the rest when it is cleaned up."""

    def __init__(self, path: Path) -> None:
        self.name, self.path, self.documents = path.stem, path, list[str]()
        _embedders.open_store(path).close()

    async def cleanup(self) -> None:
        await asyncio.to_thread(self.write)

    def write(self) -> None:
        with closing(_embedders.open_store(self.path)) as db:
            db.execute("BEGIN")
            rows = [(text,) for text in self.documents]
            db.executemany("INSERT INTO documents (text) VALUES (?)", rows)
            db.execute("COMMIT")
        self.documents.clear()


class Remote:
    """An index in another process, which must confirm that it has written everything."""

    name = "remote index"

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def cleanup(self) -> None:
        self.writer.write(b"flush\n")
        if not await self.reader.readline():  # stalls
            raise ConnectionError("the index hung up")


class Application:
    """Two stores, and a remote index between them."""

    def __init__(self, run: Run, remote: Remote) -> None:
        self.run, self.accepted = run, 0
        self.stores = [Store(run.workdir / name) for name in ("first.db", "last.db")]
        self.resources: list[Store | Remote] = [self.stores[0], remote, self.stores[1]]

    def report(self, failures: Mapping[str, str]) -> None:
        (self.run.workdir / "failures.json").write_text(json.dumps(dict(failures)))


@asynccontextmanager
async def index_server(answers: bool) -> AsyncIterator[int]:
    """Serve an index that accepts every request, then closes the connection or never answers."""
    ended = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        if not answers:
            await ended.wait()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    ended.set()
    server.close()


@scenario.setup
async def application(run: Run) -> AsyncIterator[Application]:
    async with index_server(run.params.answers) as port:
        remote = Remote(*await asyncio.open_connection("127.0.0.1", port))
        yield Application(run, remote)
        remote.writer.close()


@scenario.gauge("documents", kind="counter")
def accepted(application: Application) -> float:
    """Documents handed to the stores."""
    return application.accepted


@scenario.audit(rows_lost="rows", unreported="failures")
def look_back(run: Run, last: Mapping[str, float]) -> dict[str, float]:
    written = 0
    for name in ("first.db", "last.db"):
        with closing(sqlite3.connect(run.workdir / name)) as db:
            written += db.execute("SELECT count(*) FROM documents").fetchone()[0]
    report = run.workdir / "failures.json"
    told = json.loads(report.read_text()) if report.exists() else {}
    return {"rows_lost": last["accepted"] - written, "unreported": 1 - len(told)}


async def one_after_the_other(application: Application) -> None:
    for resource in application.resources:
        await resource.cleanup()


async def swallowing(application: Application) -> None:
    with suppress(ConnectionError):
        await one_after_the_other(application)


async def graceful_shutdown(application: Application) -> None:
    missing = {resource.name: "timeout" for resource in application.resources}

    async def logged(resource: Store | Remote) -> None:
        try:
            await resource.cleanup()
            del missing[resource.name]  # logged as "cleaned up successfully"
        except Exception as error:
            missing[resource.name] = str(error)

    cleanups = [asyncio.create_task(logged(resource)) for resource in application.resources]
    await asyncio.wait(cleanups, timeout=application.run.params.timeout_s)
    application.report(missing)


async def with_a_timeout_each(application: Application) -> None:
    timeout = application.run.params.timeout_each_s
    cleanups = [asyncio.wait_for(r.cleanup(), timeout) for r in application.resources]
    results = await asyncio.gather(*cleanups, return_exceptions=True)
    outcomes = zip(application.resources, results, strict=True)
    application.report({r.name: repr(result) for r, result in outcomes if result is not None})


@scenario.variant(
    "leaky",
    expect={"run": "hangs", **dict.fromkeys(("exit_s", "unreported", "rows_lost"), "broken")},
    close=one_after_the_other,
    origin="document words",
)
@scenario.variant(
    "leaky_raises",
    expect={"rows_lost": "broken", "unreported": "broken"},
    close=swallowing,
    answers=True,
)
@scenario.variant("proposed", close=graceful_shutdown, origin="document code")
@scenario.variant("proposed_short", close=graceful_shutdown, timeout_s=1.5)
@scenario.variant("fixed", close=with_a_timeout_each)
async def ingest(_step: int, application: Application) -> None:
    """Write the rows of both stores, and hand them the next batch."""
    for store in application.stores:
        store.write()
        count = application.run.params.documents
        store.documents += [_embedders.text(application.run) for _ in range(count)]
        application.accepted += count
