"""One run of a sweep, where a slot takes it: build, check the key, measure, store."""

from __future__ import annotations

import hashlib
import signal
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from resleak.analysis import verdicts
from resleak.captures import storage
from resleak.captures.locks import locked, temporary_folder
from resleak.captures.manifest import Declared, Exit, Manifest, Versions, now
from resleak.captures.store.store import Store
from resleak.errors import CaptureError, ResleakError, StoreError, save_traceback
from resleak.experiments import environments
from resleak.experiments.sweep import plan as plans
from resleak.experiments.sweep.shipping import Shipped
from resleak.harness.measurement import host, measure
from resleak.harness.plan import Job

#: Outcomes of a run: stored now, stored before, or one of the failures that are no result.
MADE, EXISTS = "made", "exists"
ENVIRONMENT, INFRASTRUCTURE, BUG = "environment", "infrastructure", "bug"
#: It was killed with its worker, or not begun: its host is too noisy to measure on.
KILLED, NOISY = "killed", "noisy"
#: A run that is killed so often is a result: what kills it is the run.
MOST_KILLS = 3
_CANARY = "control/do_nothing"
_RESULTS = ("failed", "crashed", "deadline")


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run: `kind` is a constant of this module, `message` a line or empty."""

    kind: str
    message: str


def perform(run: plans.Run, url: str, canary: bool, stop: threading.Event | None = None) -> Outcome:
    """Measure a run and store it, unless it is stored already; only an interrupt is raised."""
    stop = stop or threading.Event()
    try:
        store = _store(url)
        if store.has(run.key):
            return Outcome(EXISTS, "")
        if canary and (noise := _noise(store, stop)):
            return Outcome(NOISY, noise)
        with temporary_folder() as folder:
            try:
                job = plans.job_of(run, folder)
            except ResleakError as error:
                return Outcome(ENVIRONMENT, str(error))
            return _measured(run, job, store, stop)
    except (ResleakError, OSError) as error:
        return Outcome(INFRASTRUCTURE, str(error))
    except Exception as error:
        return Outcome(BUG, save_traceback(error))


def killed(run: plans.Run, url: str) -> Outcome:
    """Store that a run was killed with its worker, time and again."""
    message = f"it was killed {MOST_KILLS} times, and its worker with it"
    try:
        job = plans.job_of(run, Path())
        about = job.plan.about
        manifest = Manifest(
            status="incomplete",
            session=job.plan.session,
            started=now(),
            scenario=Declared.parse(job.plan.scenario),
            variant=job.variant,
            instrument=job.instrument,
            run=job.run,
            seed=job.seed,
            params=dict(job.params),
            steps=job.plan.steps,
            exit=Exit("crashed", "steady", -signal.SIGKILL, error=message),
            versions=Versions(about["python"], about["implementation"], about["packages"]),
            host=host(),
        )
        is_new = _store(url).put(run.spec, manifest, [], 0.0, host_id())
    except ResleakError as error:
        return Outcome(INFRASTRUCTURE, str(error))
    return Outcome(MADE if is_new else EXISTS, "")


def _measured(run: plans.Run, job: Job, store: Store, stop: threading.Event) -> Outcome:
    for _ in range(MOST_KILLS):
        began = time.monotonic()
        try:
            folder = measure(job, lambda *_: None, stop)
        except CaptureError as error:
            folder = _left(job, error)
        manifest = storage.read_manifest(folder)
        if (manifest.exit.code, manifest.exit.status) != (-signal.SIGKILL, "crashed"):
            break
    seconds = time.monotonic() - began
    tables = sorted(folder.glob("*.parquet"))
    is_new = store.put(run.spec, manifest, tables, seconds, host_id())
    return Outcome(MADE if is_new else EXISTS, "")


def _left(job: Job, error: CaptureError) -> Path:
    """Return the folder of a run that failed, if the failure is a result; else raise it."""
    for folder in job.folder.parent.glob(f"{job.folder.name}.incomplete-*"):
        with suppress(StoreError):
            if storage.read_manifest(folder).exit.status in _RESULTS:
                return folder
    raise error


@cache
def _store(url: str) -> Store:
    return Store.opened(url)


@cache
def host_id() -> str:
    """Return a pseudonym of this machine."""
    names = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
    texts = [file.read_text() for file in names if file.is_file()]
    return hashlib.sha256(f"resleak {texts or uuid.getnode()}".encode()).hexdigest()[:10]


#: Noise of this host by hour, as measured in this process.
_NOISE: dict[str, str] = {}


def _noise(store: Store, stop: threading.Event) -> str:
    """Measure a process that does nothing, once per host and hour; say if it seems to leak."""
    hour = f"{host_id()}-{datetime.now(UTC):%Y%m%dT%H}"
    place = environments.cache_folder() / "canaries" / hour
    place.mkdir(parents=True, exist_ok=True)
    with locked(place) as is_free:  # the other processes of this host go on without waiting
        if is_free is not False and hour not in _NOISE:
            with temporary_folder() as folder:
                _NOISE[hour] = _canary(store, hour, folder, stop)
    return _NOISE.get(hour, "")


def _canary(store: Store, hour: str, folder: Path, stop: threading.Event) -> str:
    shipped, environment = Shipped.of(_CANARY, folder), plans.Environment("as installed")
    found = plans.cells_of(plans.SweepPlan(scenarios=[_CANARY]), shipped, environment)
    if isinstance(found, plans.Absent):
        raise CaptureError(found.message)
    run = plans.Run(found[0], replace(found[0].spec, canary=hour))
    if not store.has(run.key):
        _measured(run, plans.job_of(run, folder), store, stop)
        store.note("canaries", hour, run.key)
    captures = store.fetch([store.record(run.key)], folder / "stored")
    leaks = ", ".join(one.gauge for one in verdicts.judge(captures).gauges if one.is_leak)
    return f"{leaks} of a process that does nothing grew on host {host_id()}" if leaks else ""
