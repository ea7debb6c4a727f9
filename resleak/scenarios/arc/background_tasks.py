"""A failed start-up task is reported only once nothing refers to it any more.

Each step is the life of one app. At its start it begins two tasks: one fails to connect, the other
holds a lease for as long as the app runs. Only what is visible while it runs is counted.

- `leaky` keeps its tasks in a list, as asyncio's documentation advises. asyncio reports an
  unretrieved error when the task is freed, which the list prevents: 50 failures, no report.
- `leaky_no_reference` drops the tasks. CPython frees the failed one at once, so each failure is
  reported. But the event loop holds no reference to a task that waits for an object only the task
  refers to (`await asyncio.Event().wait()`): all 50 leases are gone after the next collection.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="003#13",
    claim="start-up tasks may fail without any report",
    condition="the app keeps references to its tasks (the kindest reading: asyncio asks for that); "
    "failures are counted while it runs. asyncio reports those of dropped tasks at once, those of "
    "kept ones at the exit, unless the stop cancels them (ours)",
    language="Python",
    symptoms={"unseen": "broken"},
    outcome="reproduced",
    fix="holds",
    control="fds",
    limits=[
        Limit("unseen", at_end=0, source="a failure is reported while the app runs"),
        Limit("leases_lost", at_end=0, source="a task runs until it ends or is cancelled"),
    ],
    steps=40,
    warmup=10,
    block=2,
    stacks=False,
)
Job = Coroutine[Any, Any, None]


class Reports(logging.Handler):
    """Counts the errors that are logged."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += bool(record.exc_info)


class World:
    """State that all lives of the app share."""

    def __init__(self, run: Run) -> None:
        self.socket, self.reports = run.workdir / "none.sock", Reports()
        self.unseen = self.leases_lost = 0
        for name in ("asyncio", "app"):
            logger = logging.getLogger(name)
            logger.propagate = False
            logger.addHandler(self.reports)

    async def live(self, app: App) -> None:
        """Run an app until its start-up has failed, and count before it ends."""
        seen = self.reports.count
        app.start()
        while not app.failures:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        gc.collect()  # as the collector does by itself, at an unpredictable time
        await asyncio.sleep(0)
        self.unseen += app.failures - (self.reports.count - seen)
        self.leases_lost += 1 - app.leases
        await app.stop()


class App:
    """An app with two tasks at its start."""

    def __init__(self, socket: Path) -> None:
        self.socket, self.failures, self.leases = socket, 0, 0
        self.tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self.tasks = [asyncio.create_task(job) for job in (self.connect(), self.hold_lease())]

    async def connect(self) -> None:
        try:
            await asyncio.open_unix_connection(self.socket)
        except OSError:
            self.failures += 1  # known to the experiment, not to the app
            raise

    async def hold_lease(self) -> None:
        self.leases += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.leases -= 1

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks)


class ForgetfulApp(App):
    """Keeps none of its tasks."""

    def start(self) -> None:
        super().start()
        self.tasks.clear()


class CarefulApp(App):
    """Reports errors of its tasks."""

    def start(self) -> None:
        jobs = (self.connect(), self.hold_lease())
        self.tasks = [asyncio.create_task(self.reported(job)) for job in jobs]

    async def reported(self, job: Job) -> None:
        try:
            await job
        except Exception:
            logging.getLogger("app").exception("a start-up task failed")


@scenario.setup
async def world(run: Run) -> AsyncIterator[World]:
    yield World(run)


@scenario.gauge("failures", kind="counter")
def unseen(world: World) -> float:
    """Failures that were not reported while the app ran."""
    return world.unseen


@scenario.gauge("leases", kind="counter")
def leases_lost(world: World) -> float:
    """Leases whose task was gone before the app ended."""
    return world.leases_lost


@scenario.variant(expect={"unseen": "broken"}, origin="document words")
async def leaky(_step: int, world: World) -> None:
    """Keep the tasks, and never check them."""
    await world.live(App(world.socket))


@scenario.variant(expect={"leases_lost": "broken"})
async def leaky_no_reference(_step: int, world: World) -> None:
    """Start the tasks and drop them."""
    await world.live(ForgetfulApp(world.socket))


@scenario.variant(origin="document words")
async def fixed(_step: int, world: World) -> None:
    """Keep the tasks, and report their errors."""
    await world.live(CarefulApp(world.socket))
