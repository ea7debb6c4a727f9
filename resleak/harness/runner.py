"""Capture: run the variants of a scenario in fresh processes and store the results."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from resleak.captures import storage
from resleak.captures.names import inside
from resleak.captures.raw import INSTRUMENTS, shortened
from resleak.errors import CaptureError, StoreError
from resleak.harness.measurement import OnStep, measure
from resleak.harness.plan import CaptureOptions, Decide, Job, Look, Plan, jobs, plan
from resleak.workload.resolve import Workload

#: Seconds between two looks at whether a capture is over.
_PATIENCE_S = 0.2
#: Fewest measured steps: enough to prove that a count grows in each of them.
_FEWEST = 15
#: Seconds per step up to which starting the processes takes longer than all steps, on a machine
#: that has nothing else to do.
_QUICK_S = 1e-3


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
            pace = self._paces[job.variant].halvings
            folder = measure(job, self._on_step, self.stop, look, leave, pace)
        except (CaptureError, StoreError) as error:
            if job.instrument == "gauges":
                raise
            self.missing.append(f"without {job.instrument}: {error}")
            return None
        if storage.read_manifest(folder).exit.status == "deadline":
            self._stuck.add(job.variant)
        return folder


class Slots:
    """Limits how many processes run at a time; one that waits or rests leaves its slot."""

    def __init__(self, count: int) -> None:
        self._free, self._taken = threading.Semaphore(count), set[str]()

    def take(self, label: str, timeout_s: float | None = None) -> bool:
        """Take a slot for a run, unless it has one; return False if none is free in time."""
        if label not in self._taken and self._free.acquire(timeout=timeout_s):
            self._taken.add(label)
        return label in self._taken

    def leave(self, label: str) -> None:
        """Leave the slot of a run, if it has one."""
        with suppress(KeyError):
            self._taken.remove(label)
            self._free.release()


class Meeting:
    """Brings the replicates of a variant together at each `Look`."""

    def __init__(
        self,
        labels: set[str],
        decide: Decide,
        others: Callable[[], list[Path]],
        slots: Slots,
        stop: threading.Event,
    ) -> None:
        self._expected, self._decide, self._others = labels, decide, others
        self._slots, self._stop = slots, stop
        self._present: dict[str, tuple[Callable[[], Path], int, float]] = {}
        self._ended: list[Path] = []
        #: Steps up to which all go on.
        self._round, self._agreed = 0, 0
        self._changed = threading.Condition()

    def attend(self, label: str, store: Callable[[], Path], steps: int, load_s: float) -> bool:
        """Wait for the others at a look; return whether all go on."""
        if steps < self._agreed:
            return True
        self._slots.leave(label)
        with self._changed:
            self._present[label] = store, steps, load_s
            this = self._round
            self._hold_if_complete()
            while self._round == this and not self._stop.is_set():
                self._changed.wait(_PATIENCE_S)
            goes_on = self._agreed > steps and not self._stop.is_set()
        return goes_on and self._slots.take(label)

    def leave(self, label: str, folder: Path | None) -> None:
        """Expect no more of a run that has ended, and has a capture unless it failed."""
        with self._changed:
            self._expected.discard(label)
            self._ended += [folder] if folder else []
            self._hold_if_complete()

    def _hold_if_complete(self) -> None:
        if not self._present or self._present.keys() < self._expected:
            return
        stores, steps, load_s = zip(*self._present.values(), strict=True)

        def stored() -> list[Path]:
            return [*(store() for store in stores), *self._ended]

        try:
            look = Look(max(steps), max(load_s), stored, self._others)
            self._agreed = 0
            self._agreed = look.steps * self._decide(look)
        finally:
            self._present = {}
            self._round += 1
            self._changed.notify_all()


class Pace:
    """The halvings of a variant's steps, set by its first run; `rounds` of runs fit the budget."""

    def __init__(self, budget_s: float | None, rounds: int) -> None:
        self._budget_s, self._rounds = budget_s or math.inf, rounds
        self._halvings: int | None = None
        self._lock = threading.Lock()

    def halvings(self, step_s: float, own_s: float, steps: int, warmup: int) -> int:
        """Return the number of halvings, given the seconds per step and the planned steps.

        `own_s` is without waiting for a processor: on a busy machine a quick step is still one.
        """
        with self._lock:
            if self._halvings is None:
                self._halvings = 0
                while own_s > _QUICK_S and steps >> self._halvings + 1 >= _FEWEST:
                    measured, before, _ = shortened(steps, warmup, 1, self._halvings)
                    if self._rounds * step_s * (measured + before) <= self._budget_s:
                        break
                    self._halvings += 1
            return self._halvings
