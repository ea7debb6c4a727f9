"""A monitor that swallows its errors is silent in an outage.

In each step a monitor takes one sample: the memory of the process, from psutil, and the size of a
real sqlite3 store. In six of every twenty steps the store is missing: five in a row, an outage, and
a single one, a flap.

- `leaky` ignores every exception. All 72 errors of 240 steps vanish, and so do all 12 outages.
  Nothing grows: knowledge is lost, so no gauge of resources can show it.
- `fixed`, the document's fix: a counter of errors, and an alert after three failures in a row.
  Every error is counted, every outage raises one alert, and no flap does.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="003#12",
    claim="errors while collecting metrics are swallowed, and no alert is raised",
    condition="a sample fails; three failures in a row raise an alert (the document: more than "
    "three, for health checks)",
    language="Python",
    symptoms={"unseen_errors": "broken", "unseen_outages": "broken"},
    outcome="reproduced",
    fix="holds",
    control="fds",
    limits=[
        Limit("unseen_errors", at_end=0, source="every error is counted"),
        Limit("unseen_outages", at_end=0, source="three failures in a row raise one alert"),
    ],
    steps=200,
    warmup=40,
    params={"alert_after": 3},
    stacks=False,
)
#: Steps of every twenty in which the store is missing.
OUTAGE, FLAP = range(8, 13), (17,)
PERIOD = 20


class Monitor:
    """Takes samples of a process and its store."""

    def __init__(self, run: Run) -> None:
        import psutil

        self.process = psutil.Process()
        self.home, self.gone = run.workdir / "store", run.workdir / "gone"
        self.home.mkdir()
        self.raised = self.errors = self.outages = self.alerts = self.in_a_row = 0
        self.alert_after, self.samples = run.params.alert_after, dict[str, float]()
        self.log = logging.getLogger("monitor")
        self.log.propagate = False
        self.log.addHandler(logging.NullHandler())

    def set_fault(self, step: int) -> None:
        """Remove the store, or restore it."""
        now = step % PERIOD
        self.outages += now == OUTAGE.start
        if (now in OUTAGE or now in FLAP) == self.home.exists():
            first, second = (self.home, self.gone) if self.home.exists() else (self.gone, self.home)
            first.rename(second)

    def sample(self) -> dict[str, Any]:
        try:
            with closing(sqlite3.connect(self.home / "metrics.db")) as db:
                (pages,) = db.execute("PRAGMA page_count").fetchone()
        except sqlite3.Error:
            self.raised += 1  # known to the experiment, not to the monitor
            raise
        return {"rss": self.process.memory_info().rss, "pages": pages}

    def failed(self, error: Exception) -> None:
        """Count an error, and raise one alert when failures persist."""
        self.errors += 1
        self.in_a_row += 1
        self.log.warning("no sample: %s", error)
        if self.in_a_row == self.alert_after:
            self.alerts += 1
            self.log.error("%d samples in a row have failed", self.in_a_row)


@scenario.setup
def monitor(run: Run) -> Iterator[Monitor]:
    yield Monitor(run)


@scenario.gauge("errors", kind="counter")
def unseen_errors(monitor: Monitor) -> float:
    """Errors raised and not counted."""
    return monitor.raised - monitor.errors


@scenario.gauge("outages", kind="counter")
def unseen_outages(monitor: Monitor) -> float:
    """Outages without an alert, or alerts without an outage."""
    return abs(monitor.outages - monitor.alerts)


@scenario.variant(
    expect={"unseen_errors": "broken", "unseen_outages": "broken"}, origin="document words"
)
def leaky(step: int, monitor: Monitor) -> None:
    """Take a sample, and ignore errors."""
    monitor.set_fault(step)
    with suppress(Exception):
        monitor.samples = monitor.sample()


@scenario.variant(origin="document words")
def fixed(step: int, monitor: Monitor) -> None:
    """Take a sample, count errors, and raise an alert when they persist."""
    monitor.set_fault(step)
    try:
        monitor.samples = monitor.sample()
        monitor.in_a_row = 0
    except Exception as error:
        monitor.failed(error)
