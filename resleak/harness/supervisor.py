"""Start one measured process, read it from outside, and end it at its deadline."""

from __future__ import annotations

import os
import select
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from resleak.captures import raw
from resleak.captures.raw import Seen
from resleak.harness import process_gauges

#: Seconds between two readings of the outside gauges.
SAMPLE_S = 0.1
#: Seconds a stopped process gets to write down its stacks.
_LAST_WORDS_S = 0.5
_HEADER = struct.Struct(f"{raw.HEADER}d")


class Watched:
    """One measured process, its control line and its deadlines.

    Parameters
    ----------
    command : callable
        Given the two descriptors of the control line and the start time, returns the arguments of
        the process.
    env : dict of str to str
        The whole environment of the process. Its temporary folder is its own: whatever else has
        it when the process ends was started by it, and is ended too.
    folder : Path
        Where the process leaves its rows and its last words.
    deadline_s, exit_deadline_s, total_s : float
        Seconds for the set-up and for each step, for the end of the process after the load, and
        for the load as a whole. (A slow machine makes progress all the same; what hangs does not.)
    memory_bytes : int
        Resident memory at which the process is stopped.
    """

    def __init__(
        self,
        command: Callable[[int, int, float], list[str]],
        env: dict[str, str],
        folder: Path,
        deadline_s: float,
        exit_deadline_s: float,
        total_s: float,
        memory_bytes: int,
    ) -> None:
        self.folder, self.memory_bytes, self.total_s = folder, memory_bytes, total_s
        self.temporary = env.get("TMPDIR", "")
        self.steps, self.progress_s = 0, 0.0
        self.deadline_s, self.exit_deadline_s = deadline_s, exit_deadline_s
        self.seen, self._buffer = Seen(), b""
        self.started = time.monotonic()
        self._in, out = os.pipe()
        back, self._back = os.pipe()
        with (folder / "output.txt").open("wb") as output:
            self.process = subprocess.Popen(
                command(out, back, self.started),
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(out, back),
                start_new_session=True,
            )
        os.close(out)
        os.close(back)
        self.outside = process_gauges.Outside(self.process.pid)

    def watch(self, on_step: Callable[[int], None], stop: threading.Event) -> Seen:
        """Follow the process to its end, or end it.

        Parameters
        ----------
        on_step : callable
            Called ten times a second with the number of steps done.
        stop : threading.Event
            Ends the process when set.

        Returns
        -------
        Seen
        """
        try:
            while self.process.poll() is None and not self._over(stop):
                self._listen()
                on_step(self._progress(self._sample()))
            self._listen(0.0)
        finally:
            self._end()
        return self._sum_up()

    def _progress(self, steps: int) -> int:
        if steps > self.steps:
            self.steps, self.progress_s = steps, time.monotonic() - self.started
        return steps

    def _over(self, stop: threading.Event) -> bool:
        now = time.monotonic() - self.started
        stopping = self.seen.began("teardown")
        reasons = {
            "interrupted": stop.is_set(),
            "hung": stopping is not None and now > stopping + self.exit_deadline_s,
            "deadline": stopping is None
            and (now > self.progress_s + self.deadline_s or now > self.total_s),
            "memory": bool(self.seen.samples)
            and self.seen.samples[-1].get("rss", 0) > self.memory_bytes,
        }
        reason = next((name for name, holds in reasons.items() if holds), "")
        self.seen.status = reason or self.seen.status
        return bool(reason)

    def _listen(self, patience: float = SAMPLE_S) -> None:
        """Answer the process until the next sample is due."""
        until = time.monotonic() + patience
        while select.select([self._in], [], [], max(0.0, until - time.monotonic()))[0]:
            data = os.read(self._in, 65536)
            if not data:  # the other end is closed: nothing more to hear, but a child may live on
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(max(0.0, until - time.monotonic()))
                return
            *lines, self._buffer = (self._buffer + data).split(b"\n")
            for line in lines:
                self._heard(line.decode().split())

    def _heard(self, words: list[str]) -> None:
        if words[0] == "phase":
            self.seen.phases.append((words[1], float(words[2])))
        else:
            reading = self.outside.full()
            self.seen.quiet[int(words[1])] = {**self._place(), **reading}
            with suppress(OSError):
                os.write(self._back, b".")

    def _sample(self) -> int:
        place, reading = self._place(), self.outside.quick()
        if reading:
            self.seen.samples.append({**place, **reading})
        return int(place["step"])

    def _place(self) -> dict[str, float]:
        now = time.monotonic() - self.started
        try:
            with (self.folder / "trace.raw").open("rb") as file:
                _, phase, step, block = _HEADER.unpack(file.read(_HEADER.size))
        except (OSError, struct.error):
            phase = step = block = 0.0
        return {"t_s": now, "phase": phase, "step": step, "block": block}

    def _end(self) -> None:
        if self.process.poll() is None:
            if self.seen.status != "interrupted":
                self._hear_last_words()
            self._kill()
        self.seen.ended_s = time.monotonic() - self.started
        self._kill()  # children it left behind, which share its session
        os.close(self._in)
        os.close(self._back)

    def _hear_last_words(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGUSR1)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_LAST_WORDS_S)

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pid in process_gauges.started_in(
            "TMPDIR", self.temporary
        ):  # those with a session of their own
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def _sum_up(self) -> Seen:
        seen = self.seen
        seen.code = self.process.returncode
        # Its own note counts as well: the code under study may have closed the control line.
        reached = {seen.phase, raw.PHASES[int(self._place()["phase"])]}
        ended_early = not reached & {"teardown", "exit"}
        if seen.status == "exited" and (seen.code != 0 or ended_early):
            seen.status = "failed" if seen.code == 3 else "crashed"
        return seen


def run_to_end(command: list[str], env: dict[str, str], deadline_s: float, output: Path) -> int:
    """Run a short helper process and return its exit code, or -9 if it had to be stopped.

    Parameters
    ----------
    command, env : list of str, dict of str to str
        What to run, and its whole environment.
    deadline_s : float
        Seconds it may take.
    output : Path
        Receives what it prints.
    """
    with output.open("wb") as file:
        process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        return process.wait(deadline_s)
    except subprocess.TimeoutExpired:
        return -signal.SIGKILL
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
