"""Measure one job in a fresh process and store its capture."""

from __future__ import annotations

import os
import platform
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from resleak.captures import raw, source_paths, storage, untrusted
from resleak.captures.decode import handles, inspection, launch, trace
from resleak.captures.locks import temporary_folder
from resleak.captures.manifest import Declared, Exit, Manifest, Versions, now
from resleak.captures.raw import INSTRUMENTS, ProcessOutcome
from resleak.errors import CaptureError
from resleak.harness import control_groups, process_gauges, spawn
from resleak.harness.plan import Job
from resleak.harness.supervisor import Supervisor
from resleak.workload import gauges
from resleak.workload.digest import digest

#: Called with a job's label and the steps it has done.
OnStep = Callable[[str, int], None]
#: Called where a run waits with a function that stores a capture of what it measured so far, its
#: steps, and the seconds of these.
AtLook = Callable[[Callable[[], Path], int, float], bool]


def measure(
    job: Job,
    on_step: OnStep,
    stop: threading.Event,
    at_look: AtLook = lambda *_: False,
    on_settle: Callable[[], None] = lambda: None,
    pace: Callable[[float, float, int, int], int] = lambda *_: 0,
) -> Path:
    """Run one job and store its capture; `on_settle` is called when its load is over.

    `pace` returns the halvings of its steps, given the seconds per step, those without
    waiting for a processor, and how many are planned.
    """
    started = now()
    with (
        temporary_folder() as workdir,
        temporary_folder() as seen,
        storage.writing(job.folder) as folder,
    ):

        def halvings(step_s: float, own_s: float) -> int:
            nonlocal job
            often = pace(step_s, own_s, job.plan.steps, job.plan.warmup)
            job = replace(job, plan=job.plan.shortened(often)) if often else job
            return often

        def look(outcome: ProcessOutcome) -> bool:
            def store() -> Path:
                manifest = replace(_manifest(job, outcome, folder, {}), status="complete")
                storage.write_manifest(seen, _with_trace(manifest, job, outcome, folder, seen))
                return seen

            last = max(outcome.end_of_block.values(), key=lambda reading: reading["t_s"])
            load_s = last["t_s"] - (outcome.began("warmup") or 0.0) - supervisor.waited_s
            return at_look(store, int(last["step"]) - job.plan.warmup, load_s)

        supervisor = Supervisor(job, folder, workdir, look, halvings, on_settle)
        outcome = supervisor.run(partial(on_step, job.label), stop)
        _store(job, folder, workdir, outcome, started)
        for path in folder.iterdir():
            if path.name != storage.MANIFEST and path.suffix != ".parquet":
                path.unlink()
    return job.folder


def _with_trace(
    manifest: Manifest, job: Job, outcome: ProcessOutcome, folder: Path, target: Path
) -> Manifest:
    """Write the trace of a run into a folder, and return the manifest with what is known by it."""
    own = trace.own_gauges(folder, job.plan.scenario["own_gauges"])
    present = trace.write_trace(folder, outcome, own, target)
    _, rows = trace.inside_rows(folder)
    allocator = (untrusted.written(folder / raw.ALLOCATOR) or b"").decode(errors="replace")[:100]
    steps = int(rows[-1, 1]) - job.plan.warmup if len(rows) else 0
    return replace(
        manifest,
        steps=max(steps, 0 if manifest.exit.limit else job.plan.steps),
        scenario=replace(manifest.scenario, own_gauges=tuple(own)),
        missing=tuple(gauges.missing(present, allocator)),
        allocator=allocator,
    )


def _store(job: Job, folder: Path, workdir: Path, outcome: ProcessOutcome, started: str) -> None:
    """Write the tables and the manifest of a run."""
    failure = spawn.failure(folder / raw.ERRORS)
    manifest = replace(_manifest(job, outcome, folder, failure), started=started)
    if job.instrument == "gauges":
        manifest = _with_trace(manifest, job, outcome, folder, folder)
    if job.instrument == "forensics":
        ending = inspection.write(folder, job.plan.work.root, outcome.status)
        manifest = replace(manifest, ending=ending)
    storage.write_manifest(folder, manifest)
    _check_finished(job, outcome, failure)
    manifest = replace(manifest, facts=_facts(job, folder, workdir), status="complete")
    studied = [Path(job.plan.about["file"])], job.plan.work.root
    instrument, source = INSTRUMENTS[job.instrument], job.plan.options.source
    if job.instrument == "handles":
        handles.extract(folder / raw.HANDLES, folder, *studied, workdir, source=source)
    if instrument.recording:
        recording = folder / instrument.recording, folder, manifest.marks
        launch.recording(instrument.decoder, *recording, *studied, source=source)
    storage.write_manifest(folder, manifest)


def _check_finished(job: Job, outcome: ProcessOutcome, failure: Mapping[str, Any]) -> None:
    """Raise if the run gave no result; a hang, a reached limit, a crash after the load is one."""
    if outcome.status == "interrupted":
        raise KeyboardInterrupt
    if outcome.status == "deadline" and outcome.phase == "start":
        limit = f"{job.plan.scenario['deadline_s']:g} s"
        raise CaptureError(f"{job.plan.work.name} was not loaded within {limit}: see --deadline")
    has_ended = outcome.status == "crashed" and outcome.began("settle")  # the load is over
    if outcome.status not in ("failed", "crashed") or has_ended:
        return
    where = f" at line {failure['line']}" if failure.get("line") else ""
    message = failure.get("error") or f"the process {spawn.how_it_ended(outcome.code)}"
    name = job.plan.scenario["name"]
    raise CaptureError(f"{name}, {job.called}, failed in {outcome.phase}{where}: {message}")


def _facts(job: Job, folder: Path, workdir: Path) -> dict[str, float | None]:
    if not job.plan.scenario["audit"] or job.instrument != "gauges":
        return {}  # an audit compares with the last readings, and memray's runs have none
    own = [gauge["name"] for gauge in job.plan.scenario["own_gauges"]]
    spec = spawn.ground(job.plan.work, folder, {}) | {
        "do": "audit",
        "variant": job.variant,
        "seed": job.seed,
        "params": dict(job.params),
        "workdir": str(workdir),
        "last": trace.last_own(folder, own),
    }
    facts: dict[str, float | None] = spawn.ask(spec, job.plan.python, CaptureError)
    return facts


def _manifest(job: Job, outcome: ProcessOutcome, folder: Path, failure: dict[str, Any]) -> Manifest:
    plan, project = job.plan, job.plan.work.root
    text = (untrusted.written(folder / "threads.txt") or b"").decode(errors="replace")
    stacks = trace.stacks_of(text, lambda file: source_paths.place(file, project))
    failure = {key: source_paths.redact(str(value), project) for key, value in failure.items()}
    printed = trace.repeated(spawn.tail(folder / raw.ERRORS), project)
    code = ""
    with suppress(OSError, SyntaxError, ValueError, RecursionError):
        code = digest(Path(plan.about["file"]))  # deleted meanwhile, or of a newer interpreter
    return Manifest(
        status="incomplete",
        session=plan.session,
        scenario=Declared.parse(plan.scenario),
        variant=job.called,
        instrument=job.instrument,
        run=job.run,
        seed=job.seed,
        params=dict(job.params),
        steps=plan.steps,
        warmup=plan.warmup,
        block=plan.block,
        planted_per_step=plan.options.plant,
        phases=trace.phases(outcome),
        marks=trace.marks(outcome),
        exit=Exit.of(outcome, stacks, **failure, printed=printed),
        versions=Versions(*(plan.about[key] for key in ("python", "implementation", "packages"))),
        host=host() | control_groups.of_this_process(),
        git=_revision(project, plan.session),
        digest=code,
        env=spawn.presets(job.seed, job.allocator),
        rlimits={**spawn.RLIMITS, **plan.scenario["rlimits"]},
    )


def host() -> dict[str, Any]:
    """Return the facts of this machine for a manifest, without names."""
    model = ""
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        models = (line.partition(":")[2] for line in file if line.startswith("model name"))
        model = " ".join(next(models, "").split())[:80]
    return {
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "cpu": model or platform.processor(),
        "cpus": os.cpu_count(),
        "memory_bytes": process_gauges.memory()[0],
        "libc": " ".join(platform.libc_ver()).strip(),
    }


@lru_cache(maxsize=8)
def _revision(folder: Path, _session: str) -> str:
    """Return the revision of a folder in a session; in a large repository that takes a while."""
    # No program that the repository names is run: no monitor, no hook, and no filter, without which
    # git cannot tell what has changed.
    git = ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-C", str(folder)]

    def answer(*words: str) -> str:
        command = [*git, *words]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
        return result.stdout.strip()

    with suppress(OSError, subprocess.TimeoutExpired):
        filters = answer("config", "--includes", "--show-scope", "--get-regexp", r"^filter\.")
        has_own = any(line.startswith(("local", "worktree")) for line in filters.splitlines())
        return answer("describe", "--always", "--abbrev=12", *([] if has_own else ["--dirty"]))
    return ""
