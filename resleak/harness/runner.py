"""Capture: run the variants of a scenario in fresh processes and store the results."""

from __future__ import annotations

import math
import threading
import warnings
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from resleak.captures import storage
from resleak.captures.names import inside
from resleak.captures.raw import INSTRUMENTS
from resleak.errors import CaptureError, StoreError
from resleak.harness.looks import Meeting, Pace, Slots
from resleak.harness.measurement import OnStep, measure
from resleak.harness.plan import CaptureOptions, Job, Plan, jobs, plan
from resleak.workload.resolve import Workload

#: Seconds between two looks at whether a capture is over.
_PATIENCE_S = 0.2


def capture(
    scenario: str | Workload, options: CaptureOptions | None = None, **changes: Any
) -> list[Path]:
    """Run a scenario's variants in fresh processes and store one capture for each run.

    Every variant is run several times with the gauges alone, then once with each instrument that
    names lines: memray, the census of resources, and the inspection. One instrument per process.

    Parameters
    ----------
    scenario : str or Workload
        A scenario's name, a path to a Python file with ``step(i)``, a pytest node id, or
        ``package.module:function``.
    options : CaptureOptions, optional
        How it is measured.
    **changes
        Fields of `resleak.harness.plan.CaptureOptions`, such as ``runs=5`` or ``out="captures"``.

    Returns
    -------
    list of Path
        The capture folders.

    Raises
    ------
    ScenarioError
        If the scenario, a variant, a parameter or the profile is unknown or malformed.
    CaptureError
        If a run failed; finished runs are kept.
    MissingPackageError
        If the scenario needs a package that is not installed.
    """
    return run(plan(scenario, replace(options or CaptureOptions(), **changes)))


def run(what: Plan) -> list[Path]:
    """Run what is planned and return the capture folders, as `capture` does."""
    options = what.options
    # A decision about going on needs the declared bounds of what is filling.
    alone = ("gauges", "forensics") if options.decide else ("gauges",)
    chosen = options.instruments if options.stacks else alone
    todo = [job for job in jobs(what) if chosen is None or job.instrument in chosen]
    total, done = len(todo) * (what.warmup + what.steps), dict[str, int]()

    def on_step(label: str, steps: int) -> None:
        done[label] = steps
        all_done = sum(done.values())
        if options.progress:  # a run that goes on has no end that is known
            options.progress(label, all_done, total if all_done <= total else 0)

    for job in todo:
        storage.refuse_foreign(job.folder)
    with storage.claimed(inside(what.out, str(what.scenario["name"]))):
        session = _Session(options, todo, on_step)
        with ThreadPoolExecutor(max_workers=len(todo) or 1) as pool:
            try:
                session.begin(pool)
                for future in wait(session.futures, return_when=FIRST_EXCEPTION).done:
                    future.result()
                folders = [folder for future in session.futures if (folder := future.result())]
            finally:
                session.stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
        for message in session.missing:
            warnings.warn(message, stacklevel=2)
        for variant in {job.folder.parent for job in todo}:
            storage.retire(variant, what.session)
    return folders


class _Session:
    """Runs the jobs of a capture in their order, so many at a time."""

    def __init__(self, options: CaptureOptions, todo: list[Job], on_step: OnStep) -> None:
        self.stop = options.stop or threading.Event()
        self.futures: list[Future[Path | None]] = []
        self.missing: list[str] = []
        self._options, self._todo, self._on_step, self._stuck = options, todo, on_step, set[str]()
        self._slots, self._all_begun = Slots(options.parallel), threading.Event()
        self._paces, self._meetings = dict[str, Pace](), dict[str, Meeting]()
        for variant in {job.variant for job in todo}:
            self._paces[variant] = Pace(options.budget_s, math.ceil(len(todo) / options.parallel))
            if options.decide:
                labels = {job.label for job in todo if job.waits and job.variant == variant}
                others = partial(self._others, variant)
                self._meetings[variant] = Meeting(
                    labels, options.decide, others, self._slots, self.stop
                )

    def begin(self, pool: ThreadPoolExecutor) -> None:
        """Start each job as soon as it may run, until one fails."""
        for job in self._todo:
            while not self._slots.take(job.label, _PATIENCE_S):
                if self._is_over():
                    return
            if self._is_over():
                return
            self.futures.append(pool.submit(self._run, job))
        self._all_begun.set()

    def _is_over(self) -> bool:
        failed = any(future.done() and future.exception() for future in self.futures)
        return failed or self.stop.is_set()

    def _others(self, variant: str) -> list[Path]:
        """Wait for the instruments that name lines, and return their captures."""
        while not self._all_begun.wait(_PATIENCE_S):
            if self._is_over():
                return []
        both = zip(self._todo, self.futures, strict=True)
        futures = [future for job, future in both if job.variant == variant and not job.waits]
        return [folder for future in futures if (folder := future.result())]

    def _run(self, job: Job) -> Path | None:
        """Run one job; a failure under another instrument than the gauges costs no verdict."""
        meeting = self._meetings.get(job.variant) if job.waits else None
        folder = None
        try:
            folder = self._measured(job, meeting)
            if folder and not INSTRUMENTS[job.instrument].is_replicated:
                self._options.on_stored(folder)
            return folder
        finally:
            self._slots.leave(job.label)
            if meeting:
                meeting.leave(job.label, folder)

    def _measured(self, job: Job, meeting: Meeting | None) -> Path | None:
        if job.variant in self._stuck and job.instrument not in ("gauges", "forensics"):
            return None  # it would only hang again, for longer
        try:
            look = partial(meeting.attend, job.label) if meeting else lambda *_: False
            leave = partial(self._slots.leave, job.label)  # the next begins while it settles
            pace = self._paces[job.variant]
            folder = measure(job, self._on_step, self.stop, look, leave, pace)
        except (CaptureError, StoreError) as error:
            if job.instrument == "gauges":
                raise
            self.missing.append(f"without {job.instrument}: {error}")
            return None
        if storage.read_manifest(folder).exit.status == "deadline":
            self._stuck.add(job.variant)
        return folder
