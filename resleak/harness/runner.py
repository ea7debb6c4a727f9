"""Capture: run the variants of a scenario in fresh processes and store what they leave behind."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from resleak.captures import storage
from resleak.captures.names import inside
from resleak.errors import CaptureError, StoreError
from resleak.harness.measurement import measure
from resleak.harness.plan import PROFILES, Job, jobs, plan
from resleak.workload.resolve import Workload

#: Called with a label, the steps done, and the steps there are.
Progress = Callable[[str, int, int], None]


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
    scenario: str | Workload,
    *,
    variants: Iterable[str] | None = None,
    runs: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    profile: str = "quick",
    params: Mapping[str, Any] | None = None,
    python: str | None = None,
    stacks: bool = True,
    instruments: Collection[str] | None = None,
    out: Path | str = "captures",
    progress: Progress | None = None,
    parallel: int = 2,
    stop: threading.Event | None = None,
    plant: float = 0.0,
    label: str = "",
    deadline_s: float | None = None,
) -> list[Path]:
    """Run a scenario's variants in fresh processes and store one capture for each run.

    Every variant is run `runs` times with the gauges alone and, where the scenario allows it and
    memray is installed, once more under the memory profiler, once more with what it creates
    followed, and once inspected: who keeps it alive, who holds up its steps, who holds what stays.
    One instrument per process.

    Parameters
    ----------
    scenario : str or Workload
        A scenario's name, a path to a Python file with ``step(i)``, a pytest node id, or
        ``package.module:function``.
    variants : iterable of str, optional
        Which variants; all by default.
    runs, steps : int, optional
        Override the profile's number of runs and the scenario's number of steps.
    seed : int
        Seed of the first run; the others count up from it.
    profile : {"quick", "full", "soak"}
        Three runs, five runs, or five runs of twenty times the steps.
    params : mapping, optional
        The scenario's parameters to override; strings are converted to the default's type.
    python : str, optional
        Another interpreter to measure with; it needs psutil, and memray for stacks.
    stacks : bool
        Whether to do the runs that name lines as well, where the scenario and the system allow it.
    instruments : collection of str, optional
        Only runs with these: ``gauges``, ``memray``, ``handles``, ``forensics``.
    out : Path
        Folder for the captures; earlier ones of the same variants are replaced when all is done.
    progress : callable, optional
        Called with a label, the steps done and the steps there are.
    parallel : int
        Runs at a time.
    stop : threading.Event, optional
        Ends everything when set, as an interrupt does.
    plant : float
        Bytes to leak with each step besides, to see whether that is found.
    label : str
        Store the captures under this name, rather than that of their variant.
    deadline_s : float, optional
        The longest that the set-up or a step may take; 60 s unless the scenario says otherwise.

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
    made = plan(scenario, python, Path(out), steps, profile, label=label, deadline_s=deadline_s)
    what = replace(made, plant=plant)
    count = PROFILES[profile].runs if runs is None else runs
    every = jobs(what, variants, count, seed, params or {})
    chosen = instruments if stacks else ("gauges",)
    todo = [job for job in every if chosen is None or job.instrument in chosen]
    tally = _Tally(len(todo) * (what.warmup + what.steps), progress or (lambda *_: None))
    for job in todo:
        storage.refuse_foreign(job.folder)
    with storage.claimed(inside(what.out, str(what.scenario["name"]))):
        folders = _run_all(todo, tally, parallel, stop or threading.Event())
        for variant in {job.folder.parent for job in todo}:
            storage.retire(variant, what.session)
    return folders


def _run_all(todo: list[Job], tally: _Tally, parallel: int, stop: threading.Event) -> list[Path]:
    stuck: set[str] = set()
    lost: list[str] = []
    with ThreadPoolExecutor(max_workers=parallel) as pool:
        futures = [pool.submit(_run, job, tally, stop, stuck, lost) for job in todo]
        try:
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
            folders = [folder for future in futures if (folder := future.result())]
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
    for told in lost:
        warnings.warn(told, stacklevel=3)
    return folders


def _run(
    job: Job, tally: _Tally, stop: threading.Event, stuck: set[str], lost: list[str]
) -> Path | None:
    """Run one job; what fails under another instrument costs what that finds, not the verdict."""
    if job.variant in stuck and job.instrument not in ("gauges", "forensics"):
        return None  # it would only hang again, for longer
    try:
        folder = measure(job, tally, stop)
    except (CaptureError, StoreError) as error:
        if job.instrument == "gauges":
            raise
        lost.append(f"without {job.instrument}: {error}")
        return None
    if storage.read_manifest(folder).exit.status == "deadline":
        stuck.add(job.variant)
    return folder
