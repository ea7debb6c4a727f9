"""A clean-up that is started but not awaited is not finished when the call returns.

Each step opens three stores (real sqlite, and a memory-mapped index each), has them cleaned up
beside a resource whose clean-up fails, and reads the files at once, as the caller's next line
would. Now and then another program holds the lock of one store for 0.8 s.

- `leaky` starts the clean-ups and returns: none of 42 was finished, and none of the 840 accepted
  rows was in its file. The failure stays in a task whose result is never read.
- `leaky_sleep`, with the sleep of 200 ms that the document reports from its tests, as a symptom:
  usually enough. Whenever the other program held the lock for longer, the rows of that store were
  missing (60 of 840). Every clean-up takes the 200 ms, and the errors still go unnoticed.
- `fixed`, as the document asks: await all of them (half stay below its 2 s), and return the errors.
"""

from __future__ import annotations

import asyncio
import sqlite3
from array import array
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from resleak.scenarios import _embedders
from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="001 2.1",
    claim="clean-ups are not awaited: they finish at some point, and need artificial delays",
    condition="cleanup() returns before what it started is done; the printed callers do await it. "
    "That a clean-up writes rows is ours",
    language="TypeScript",
    symptoms={"unfinished": "broken", "rows_missing": "broken"},
    outcome="reproduced",
    fix="holds",
    control="fds",
    limits=[
        Limit("unfinished", at_end=0, source="a clean-up is complete when the call returns"),
        Limit("rows_missing", at_end=0, source="every accepted row is in the file"),
        Limit("errors_unseen", at_end=0, source="a clean-up that fails reports it"),
        Limit("step_s", at_most=2, quantile=0.5, source="the document's goal for a clean-up"),
    ],
    steps=12,
    warmup=2,
    block=1,
    params={"stores": 3, "documents": 20, "sleep_s": 0.2, "busy_every": 6, "busy_s": 0.8},
    stacks=False,
)
VECTOR = array("f", range(8))


class Store:
    """Documents and vectors; its clean-up writes and closes them."""

    def __init__(self, path: Path, documents: list[str]) -> None:
        self.path, self.documents, self.finished = path, documents, False
        path.unlink(missing_ok=True)
        self.db = _embedders.open_store(path)
        self.index = _embedders.Index(path.with_suffix(".index"), len(documents), len(VECTOR))

    async def cleanup(self) -> None:
        await asyncio.to_thread(self.write_and_close)
        self.finished = True

    def write_and_close(self) -> None:
        self.db.execute("BEGIN IMMEDIATE")
        rows = list(enumerate(self.documents))
        self.db.executemany("INSERT INTO documents VALUES (?, ?)", rows)
        self.db.execute("COMMIT")
        self.db.close()
        for row, _ in rows:
            self.index.put(row, VECTOR)
        self.index.close()

    def missing(self) -> int:
        """Count the documents that are missing in the file, as another program would."""
        with closing(sqlite3.connect(self.path)) as db:
            (count,) = db.execute("SELECT count(*) FROM documents").fetchone()
        return len(self.documents) - int(count)


class Closed:
    """A resource that is already closed, so that its clean-up fails."""

    def __init__(self) -> None:
        self.db = sqlite3.connect(":memory:")
        self.db.close()

    async def cleanup(self) -> None:
        self.db.execute("PRAGMA optimize")


class Application:
    """Creates stores, has them cleaned up, and checks at once what that left."""

    def __init__(self, run: Run) -> None:
        self.params, self.folder = run.params, run.workdir
        self.documents = [_embedders.text(run) for _ in range(run.params.documents)]
        self.unfinished = self.rows_missing = self.errors_unseen = 0
        self.tasks: list[asyncio.Task[None]] = []

    async def serve(self, step: int, shut_down: ShutDown) -> None:
        numbers = range(self.params.stores)
        stores = [Store(self.folder / f"{number}.db", self.documents) for number in numbers]
        with self.other_writer(stores[0].path, step):
            errors = await shut_down(self, [*stores, Closed()])
            self.unfinished += sum(not store.finished for store in stores)
            self.rows_missing += sum(store.missing() for store in stores)
            self.errors_unseen += 1 - len(errors)
            await asyncio.gather(*self.tasks, return_exceptions=True)  # leave no work running
        self.tasks.clear()

    @contextmanager
    def other_writer(self, path: Path, step: int) -> Iterator[None]:
        """Now and then another program is writing to the first store."""
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            if step % self.params.busy_every == 0:
                db.execute("BEGIN IMMEDIATE")
                asyncio.get_running_loop().call_later(self.params.busy_s, db.execute, "ROLLBACK")
            yield


ShutDown = Callable[[Application, Sequence[Store | Closed]], Awaitable[list[BaseException]]]


async def fire_and_forget(
    application: Application, resources: Sequence[Store | Closed]
) -> list[BaseException]:
    application.tasks += [asyncio.create_task(resource.cleanup()) for resource in resources]
    return []


async def fire_and_sleep(
    application: Application, resources: Sequence[Store | Closed]
) -> list[BaseException]:
    await fire_and_forget(application, resources)
    await asyncio.sleep(application.params.sleep_s)
    return []


async def await_all(_: Application, resources: Sequence[Store | Closed]) -> list[BaseException]:
    cleanups = [resource.cleanup() for resource in resources]
    results = await asyncio.gather(*cleanups, return_exceptions=True)
    return [result for result in results if isinstance(result, BaseException)]


@scenario.setup
def application(run: Run) -> Iterator[Application]:
    yield Application(run)


@scenario.gauge("clean-ups", kind="counter")
def unfinished(application: Application) -> float:
    """Clean-ups that were not finished when the shutdown returned."""
    return application.unfinished


@scenario.gauge("rows", kind="counter")
def rows_missing(application: Application) -> float:
    """Accepted rows that were not in the file when the shutdown returned."""
    return application.rows_missing


@scenario.gauge("errors", kind="counter")
def errors_unseen(application: Application) -> float:
    """Errors of clean-ups that were not reported to the caller."""
    return application.errors_unseen


LOST = {"unfinished": "broken", "rows_missing": "broken", "errors_unseen": "broken"}


@scenario.variant(expect=LOST, origin="document words")
async def leaky(step: int, application: Application) -> None:
    """Start all clean-ups and return."""
    await application.serve(step, fire_and_forget)


@scenario.variant(expect=LOST, origin="document words")
async def leaky_sleep(step: int, application: Application) -> None:
    """Start all clean-ups and sleep for a while."""
    await application.serve(step, fire_and_sleep)


@scenario.variant(origin="document words")
async def fixed(step: int, application: Application) -> None:
    """Wait for all clean-ups and return their errors."""
    await application.serve(step, await_all)
