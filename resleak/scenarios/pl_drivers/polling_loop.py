"""The polling loop keeps asking a server that is down; failures pile up only where they are kept.

Four views poll two logs, two requests at a time; a real server is down in five steps of ten.

- `leaky`, the loop as printed. Each turn's objects are freed with the turn: the heap is flat, and a
  view keeps only its last error. But 270 of its 600 requests go to a server that has just
  failed three times in a row, and half of them repeat a request of the same turn.
- `leaky_failures_kept`: the same, in a driver that keeps each failure for a report. Request,
  response and traceback are retained with it: two failures and 15 kB per turn.
- `proposed_failures_kept`: a circuit breaker (pybreaker), and one request per log. A refusal by the
  breaker is an error too, and is kept: one and 8 kB per turn. The list keeps growing.
- `fixed`: breaker and merged requests; only the last errors are kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from typing import Any

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="000#4",
    claim="failed requests pile up in the polling loop, and nothing stops it while they all fail",
    condition="a server that is down for five turns of ten, and an update() that catches its own "
    "error; an outage is three failures in a row. These and the breaker are ours. Failures pile up "
    "only in a driver that keeps each; in such a one the fix still leaks, as a refusal is a "
    "failure, too",
    language="TypeScript",
    symptoms={"failures_kept": "leak", "heap": "leak", "sent_into_outage": "broken"},
    outcome="partly",
    fix="holds",
    fix_params=["breaker"],
    gauges=("heap",),
    control="threads",
    limits=[
        Limit("sent_into_outage", at_end=0, source="no request while the breaker is open"),
        Limit("duplicates", at_end=0, source="one request per log and turn"),
        Limit("stale", at_end=0, source="all views are up to date once the server is back"),
    ],
    steps=120,
    warmup=30,
    params={
        **{"views": 4, "logs": 2, "concurrent": 2, "interval_s": 0.004, "period": 10, "down": 5},
        **{"fail_max": 3, "reset_s": 0.01, "breaker": True, "keep": False},
    },
    requires=("httpx", "pybreaker"),
    extra="pl_drivers",
)


class Server:
    """Answers every request with a log's last lines, unless it is down."""

    down = False

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield "http://127.0.0.1:{1}".format(*server.sockets[0].getsockname())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                status, body = (b"503 Down", b"") if self.down else (b"200 OK", b"progress\n" * 30)
                head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
                writer.write(head + body)
        writer.close()


class Witness:
    """Counts requests sent although the last three failed, and requests repeated within a turn."""

    def __init__(self, params: Any) -> None:
        self.params = params
        self.in_a_row = self.into_outage = self.duplicates = 0
        self.failed_at = 0.0
        self.paths: set[str] = set()

    def sending(self, path: str) -> None:
        waited = time.monotonic() - self.failed_at >= self.params.reset_s
        self.into_outage += self.in_a_row >= self.params.fail_max and not waited
        self.duplicates += path in self.paths
        self.paths.add(path)

    def failed(self) -> None:
        self.in_a_row, self.failed_at = self.in_a_row + 1, time.monotonic()


class View:
    """The last lines of one log, as one caller sees them."""

    def __init__(self, number: int, logs: int) -> None:
        self.path, self.text = f"/log-{number % logs}", ""
        self.error: Exception | None = None


class Driver:
    """Polls the logs of all views."""

    def __init__(self, http: Any, server: Server, params: Any) -> None:
        self.http, self.server, self.params = http, server, params
        self.witness = Witness(params)
        self.views = [View(number, params.logs) for number in range(params.views)]
        self.failures: list[Exception] = []
        self.calling: Callable[[], AbstractContextManager[Any]] = nullcontext
        self.refusal: tuple[type[Exception], ...] = ()

    def break_circuit(self) -> None:
        import pybreaker

        params = self.params
        self.calling = pybreaker.CircuitBreaker(params.fail_max, params.reset_s).calling
        self.refusal = (pybreaker.CircuitBreakerError,)

    async def turn(self) -> None:
        self.witness.paths.clear()
        slots = asyncio.Semaphore(self.params.concurrent)
        await asyncio.gather(*(self._update(slots, path, views) for path, views in self._groups()))

    def _groups(self) -> list[tuple[str, list[View]]]:
        if not self.params.breaker:
            return [(view.path, [view]) for view in self.views]
        paths = sorted({view.path for view in self.views})
        return [(path, [view for view in self.views if view.path == path]) for path in paths]

    async def _update(self, slots: asyncio.Semaphore, path: str, views: list[View]) -> None:
        async with slots:
            text, error = await self._answer(path)
        for view in views:
            view.text, view.error = text, error
        if error is not None and self.params.keep:
            self.failures.append(error)

    async def _answer(self, path: str) -> tuple[str, Exception | None]:
        import httpx

        expected: tuple[type[Exception], ...] = (httpx.HTTPError, *self.refusal)
        try:
            with self.calling():
                return await self._get(path), None
        except expected as error:
            return "", error

    async def _get(self, path: str) -> str:
        self.witness.sending(path)
        answer = await self.http.get(path)
        if answer.is_error:
            self.witness.failed()
            answer.raise_for_status()
        self.witness.in_a_row = 0
        return str(answer.text)


@scenario.setup
async def driver(run: Run) -> AsyncIterator[Driver]:
    import httpx

    server = Server()
    async with (
        server.listening() as address,
        httpx.AsyncClient(base_url=address, trust_env=False) as http,
    ):
        driver = Driver(http, server, run.params)
        if run.params.breaker:
            driver.break_circuit()
        yield driver


@scenario.gauge("failures")
def failures_kept(driver: Driver) -> float:
    """Failures that the driver keeps."""
    return len(driver.failures)


@scenario.gauge("requests", kind="counter")
def sent_into_outage(driver: Driver) -> float:
    """Requests sent right after three failures in a row."""
    return driver.witness.into_outage


@scenario.gauge("requests", kind="counter")
def duplicates(driver: Driver) -> float:
    """Requests for a log that was already requested in the same turn."""
    return driver.witness.duplicates


@scenario.gauge("views", kind="measure")
def stale(driver: Driver) -> float:
    """Views whose last update failed."""
    return sum(view.error is not None for view in driver.views)


BLIND = {"sent_into_outage": "broken", "duplicates": "broken"}
PILE = {"failures_kept": "leak", "heap": "leak"}


@scenario.variant("leaky", expect=BLIND, breaker=False, origin="document code")
@scenario.variant("leaky_failures_kept", expect=BLIND | PILE, breaker=False, keep=True)
@scenario.variant("proposed_failures_kept", expect=PILE, keep=True)
@scenario.variant("fixed", origin="document words")
async def poll(step: int, driver: Driver) -> None:
    """Take one turn of the loop, and wait for the next."""
    driver.server.down = step % driver.params.period < driver.params.down
    await driver.turn()
    await asyncio.sleep(driver.params.interval_s)
