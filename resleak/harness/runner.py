"""Capture: run the variants of a scenario in fresh processes and store the results."""

from __future__ import annotations

import threading
import warnings
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

from resleak.captures import storage
from resleak.captures.names import inside
from resleak.errors import CaptureError, StoreError
from resleak.harness.measurement import OnStep, measure
from resleak.harness.plan import CaptureOptions, Job, jobs, plan
from resleak.workload.resolve import Workload


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
    options = replace(options or CaptureOptions(), **changes)
    what = plan(scenario, options)
    chosen = options.instruments if options.stacks else ("gauges",)
    todo = [job for job in jobs(what) if chosen is None or job.instrument in chosen]
    total, done = len(todo) * (what.warmup + what.steps), dict[str, int]()

    def on_step(label: str, steps: int) -> None:
        done[label] = steps
        if options.progress:
            options.progress(label, sum(done.values()), total)

    for job in todo:
        storage.refuse_foreign(job.folder)
    with storage.claimed(inside(what.out, str(what.scenario["name"]))):
        folders = _run_all(todo, on_step, options.parallel, options.stop or threading.Event())
        for variant in {job.folder.parent for job in todo}:
            storage.retire(variant, what.session)
    return folders


def _run_all(todo: list[Job], on_step: OnStep, parallel: int, stop: threading.Event) -> list[Path]:
    stuck: set[str] = set()
    missing: list[str] = []
    with ThreadPoolExecutor(max_workers=parallel) as pool:
        futures = [pool.submit(_run, job, on_step, stop, stuck, missing) for job in todo]
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
    job: Job, on_step: OnStep, stop: threading.Event, stuck: set[str], missing: list[str]
) -> Path | None:
    """Run one job; a failure under another instrument than the gauges costs no verdict."""
    if job.variant in stuck and job.instrument not in ("gauges", "forensics"):
        return None  # it would only hang again, for longer
    try:
        folder = measure(job, on_step, stop)
    except (CaptureError, StoreError) as error:
        if job.instrument == "gauges":
            raise
        missing.append(f"without {job.instrument}: {error}")
        return None
    if storage.read_manifest(folder).exit.status == "deadline":
        stuck.add(job.variant)
    return folder
