"""Capture: run the variants of a scenario in fresh processes and store the results."""

from __future__ import annotations

import threading
import warnings
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from resleak.captures import storage
from resleak.captures.names import inside
from resleak.errors import CaptureError, StoreError
from resleak.harness.measurement import measure
from resleak.harness.plan import CaptureOptions, Job, Progress, jobs, plan
from resleak.workload.resolve import Workload


@dataclass
class _Tally:
    """Steps done over all runs, for one progress bar."""

    total: int
    progress: Progress
    done: dict[str, int] = field(default_factory=dict)

    def __call__(self, label: str, steps: int) -> None:
        self.done[label] = steps
        self.progress(label, sum(self.done.values()), self.total)


def capture(
    scenario: str | Workload, options: CaptureOptions | None = None, **changes: Any
) -> list[Path]:
    """Run a scenario's variants in fresh processes and store one capture for each run.

    Every variant is run several times with the gauges alone, then once with each instrument that
    names lines: memray, the census of resources, and the inspection of what keeps the process
    alive, blocks its steps and retains objects. One instrument per process.

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
    options = replace(options or CaptureOptions(), **changes)
    what = plan(scenario, options)
    chosen = options.instruments if options.stacks else ("gauges",)
    todo = [job for job in jobs(what) if chosen is None or job.instrument in chosen]
    total = len(todo) * (what.warmup + what.steps)
    tally = _Tally(total, options.progress or (lambda *_: None))
    for job in todo:
        storage.refuse_foreign(job.folder)
    with storage.claimed(inside(what.out, str(what.scenario["name"]))):
        folders = _run_all(todo, tally, options.parallel, options.stop or threading.Event())
        for variant in {job.folder.parent for job in todo}:
            storage.retire(variant, what.session)
    return folders


def _run_all(todo: list[Job], tally: _Tally, parallel: int, stop: threading.Event) -> list[Path]:
    stuck: set[str] = set()
    missing: list[str] = []
    with ThreadPoolExecutor(max_workers=parallel) as pool:
        futures = [pool.submit(_run, job, tally, stop, stuck, missing) for job in todo]
        try:
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
            folders = [folder for future in futures if (folder := future.result())]
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
    for message in missing:
        warnings.warn(message, stacklevel=3)
    return folders


def _run(
    job: Job, tally: _Tally, stop: threading.Event, stuck: set[str], missing: list[str]
) -> Path | None:
    """Run one job; a failure under another instrument than the gauges costs no verdict."""
    if job.variant in stuck and job.instrument not in ("gauges", "forensics"):
        return None  # it would only hang again, for longer
    try:
        folder = measure(job, tally, stop)
    except (CaptureError, StoreError) as error:
        if job.instrument == "gauges":
            raise
        missing.append(f"without {job.instrument}: {error}")
        return None
    if storage.read_manifest(folder).exit.status == "deadline":
        stuck.add(job.variant)
    return folder
