"""Start one measured process, read it from outside, and end it at its deadline."""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resleak.captures import raw, untrusted
from resleak.captures.raw import INSTRUMENTS, PACED, ProcessOutcome
from resleak.errors import StoreError
from resleak.harness import process_gauges, spawn
from resleak.harness.plan import Job

#: Seconds between two readings of the outside gauges.
SAMPLE_S = 0.1
#: Seconds a stopped process gets to write down its stacks.
_LAST_WORDS_S = 0.5
#: Seconds that loading our instruments may take, on a machine that is busy.
_LOADING_S = 60.0
#: Resident memory at which a process is stopped.
_MEMORY_BYTES = 4 * 1024**3
#: The longest that the load of a run may take, however steadily it goes on.
_TOTAL_S = 900.0
#: Most characters of what a process says of a limit.
_LONGEST = 100
#: Above any number of steps, of blocks and of seconds.
_MOST = 2**31
_LINE = "the control line of the run"
_HEADER = struct.Struct(f"{raw.HEADER}d")
_REMOVED = re.compile(r"resource_tracker: There appear to be (\d+ leaked [\w ]+?) to clean up")


@dataclass
class Supervisor:
    """The process of one run, its control line and its deadlines."""

    job: Job
    folder: Path
    workdir: Path
    #: Called where the process waits to hear whether it should go on.
    look: Callable[[ProcessOutcome], bool]
    #: Called with the seconds per step, and those without waiting for a processor; returns the
    #: number of halvings of the steps.
    pace: Callable[[float, float], int]
    #: Called when the load is over and the process only rests, and ends.
    on_settle: Callable[[], None]

    def __post_init__(self) -> None:
        self.steps, self.progress_s, self.waited_s, self._loading_s = 0, 0.0, 0.0, _LOADING_S
        plan = self.job.plan
        slow = INSTRUMENTS[self.job.instrument].slowdown
        #: For the set-up and for each step, for the load, and from it to the end of the process.
        self._deadline_s = plan.scenario["deadline_s"] * slow
        self._total_s = _TOTAL_S * slow * max(1.0, plan.steps / plan.scenario["steps"])
        self._exit_deadline_s = plan.scenario["exit_deadline_s"]
        self.outcome, self._buffer = ProcessOutcome(), b""
        self.started = time.monotonic()
        self._in, out = os.pipe()
        back, self._back = os.pipe()
        try:
            command = spawn.command(self._spec(out, back), plan.python)
            with (
                (self.folder / raw.OUTPUT).open("wb") as stdout,
                (self.folder / raw.ERRORS).open("wb") as stderr,
            ):
                self.process = spawn.Guarded(
                    command, env=self._env(), stdout=stdout, stderr=stderr, pass_fds=(out, back)
                )
        except BaseException:
            os.close(self._in)
            os.close(self._back)
            raise
        finally:
            os.close(out)
            os.close(back)
        self.outside = process_gauges.Outside(self.process.pid)

    def _spec(self, out: int, back: int) -> dict[str, Any]:
        job, plan = self.job, self.job.plan
        return spawn.ground(plan.work, self.folder, plan.scenario["rlimits"]) | {
            "do": "measure",
            "variant": job.variant,
            "instrument": job.instrument,
            "seed": job.seed,
            "params": dict(job.params),
            "workdir": str(self.workdir),
            "steps": plan.steps,
            "warmup": plan.warmup,
            "block": plan.block,
            # Slow steps reduce their number.
            "is_paced": plan.options.budget_s is not None and plan.warmup >= PACED,
            "needs_loop": plan.about["needs_loop"],
            "plant": plan.options.plant,
            "most_steps": plan.most_steps if job.waits else plan.steps,
            "out_fd": out,
            "back_fd": back,
            "started": self.started,
        }

    def _env(self) -> dict[str, str]:
        temporary = self.workdir / "tmp"  # apart from what a scenario writes into its own folder
        temporary.mkdir(exist_ok=True)
        added = {"TMPDIR": str(temporary)}
        if self.job.plan.options.preload is not None:
            added["LD_PRELOAD"] = self.job.plan.options.preload
        return spawn.environment(spawn.presets(self.job.seed, self.job.allocator)) | added

    def run(self, on_step: Callable[[int], None], stop: threading.Event) -> ProcessOutcome:
        """Follow the process to its end, or end it; `on_step` gets the steps ten times a second."""
        try:
            while self.process.poll() is None and not self._over(stop):
                self._listen()
                position, reading = self._position(), self.outside.quick()
                if reading:
                    self.outcome.samples.append({**position, **reading})
                steps = int(position["step"])
                if steps > self.steps:
                    self.steps, self.progress_s = steps, time.monotonic() - self.started
                on_step(steps)
            self._listen(0.0)
        finally:
            self._end()
        outcome = self.outcome
        outcome.code = self.process.poll() or 0
        removed = _REMOVED.findall(spawn.tail(self.folder / raw.ERRORS))
        outcome.left_behind = [*self.process.left_behind, *removed]
        # Its own note counts as well: the code under study may have closed the control line.
        reached = {outcome.phase, raw.PHASES[int(self._position()["phase"])]}
        ended_early = not reached & {"teardown", "exit"}
        if outcome.status == "exited" and (outcome.code != 0 or ended_early):
            outcome.status = "failed" if outcome.code == 3 else "crashed"
        return outcome

    def _over(self, stop: threading.Event) -> bool:
        now = time.monotonic() - self.started
        stopping, samples = self.outcome.began("teardown"), self.outcome.samples
        # A slow machine makes progress all the same; what hangs does not.
        last_s = self.progress_s + self._deadline_s + self._loading_s
        last_s = min(last_s, self._total_s + self.waited_s)
        reasons = {
            "interrupted": stop.is_set(),
            "hung": stopping is not None and now > stopping + self._exit_deadline_s,
            "deadline": stopping is None and now > last_s,
            "memory": bool(samples) and samples[-1].get("rss", 0) > _MEMORY_BYTES,
        }
        reason = next((name for name, holds in reasons.items() if holds), "")
        self.outcome.status = reason or self.outcome.status
        return bool(reason)

    def _listen(self, patience: float = SAMPLE_S) -> None:
        """Answer the process until the next sample is due."""
        until = time.monotonic() + patience
        while spawn.is_readable(self._in, max(0.0, until - time.monotonic())):
            data = os.read(self._in, 65536)
            if not data:  # the other end is closed, but the process may live on
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(max(0.0, until - time.monotonic()))
                return
            *lines, self._buffer = (self._buffer + data).split(b"\n")
            for line in lines:
                self._take(line.decode(errors="replace"))

    def _take(self, line: str) -> None:
        """Act on a line of the process."""
        match line.split():
            case ["ready"]:
                self.progress_s, self._loading_s = time.monotonic() - self.started, 0.0
            case ["phase", name, second] if name in raw.PHASES:
                self.outcome.phases.append((name, _number(second)))
                if name == "settle":
                    self.on_settle()
            case ["pace", step_s, own_s]:
                self._answer(b"%d" % self.pace(_number(step_s), _number(own_s)))
            case ["limit", *words]:
                self.outcome.limit = " ".join(words)[:_LONGEST]
            case ["quiet", block]:
                self._read_block(int(_number(block)))
                self._answer(b".")
            case ["quiet", block, "look"]:
                self._read_block(int(_number(block)))
                self._answer(b"." if self._wait_for_look() else b"s")
            case _:
                raise untrusted.damaged(_LINE)

    def _answer(self, answer: bytes) -> None:
        with suppress(OSError):
            os.write(self._back, answer)

    def _read_block(self, block: int) -> None:
        """Read the outside gauges at the end of a block, while the process waits."""
        is_judged = self.job.instrument == "gauges"
        reading = self.outside.full() if is_judged else self.outside.quick()
        self.outcome.end_of_block[block] = {**self._position(), **reading}

    def _wait_for_look(self) -> bool:
        """Return whether to go on; the time it takes to say so counts for no deadline."""
        began = time.monotonic()
        goes_on = self.look(self.outcome)
        self.progress_s = time.monotonic() - self.started
        self.waited_s += time.monotonic() - began
        return goes_on

    def _position(self) -> dict[str, float]:
        now = time.monotonic() - self.started
        try:
            with untrusted.opened(self.folder / "trace.raw") as file:
                _, phase, step, block = _HEADER.unpack(file.read(_HEADER.size))
        except (OSError, struct.error):
            phase = step = block = 0.0
        except StoreError:
            raise untrusted.damaged("trace.raw") from None
        if not (0 <= phase < len(raw.PHASES) and 0 <= step < _MOST and 0 <= block < _MOST):
            raise untrusted.damaged("trace.raw")
        return {"t_s": now, "phase": phase, "step": step, "block": block}

    def _end(self) -> None:
        try:
            if self.process.poll() is None and self.outcome.status != "interrupted":
                with suppress(ProcessLookupError):  # it writes its stacks to a file
                    os.kill(self.process.pid, signal.SIGUSR1)
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(_LAST_WORDS_S)
        finally:
            self.outcome.ended_s = time.monotonic() - self.started
            self.process.end()
            os.close(self._in)
            os.close(self._back)


def _number(text: str) -> float:
    """Return a number of a line of the process."""
    with suppress(ValueError):
        if 0 <= (number := float(text)) < _MOST:
            return number
    raise untrusted.damaged(_LINE)
