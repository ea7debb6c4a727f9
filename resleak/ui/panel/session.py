"""One run of a scenario from the panel, without widgets: start, follow, stop, judge."""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from resleak import formatting
from resleak.analysis.verdicts import ScenarioVerdict, judge
from resleak.captures import storage
from resleak.captures.frames import Capture, Captures
from resleak.harness.runner import capture
from resleak.ui.panel.choices import Choice
from resleak.ui.panel.live_trace import Live
from resleak.ui.panel.results import in_words

State = Literal["ready", "running", "stopping", "done", "stopped", "failed"]
#: Share of the steps before which the time left is not estimated.
_TOO_EARLY = 0.03


@dataclass(frozen=True)
class Status:
    """The progress of a session."""

    state: State = "ready"
    #: Steps over all runs.
    done: int = 0
    total: int = 0
    #: Estimated seconds until the end.
    left_s: float | None = None
    #: One line, if the session failed.
    error: str = ""

    @property
    def busy(self) -> bool:
        """True while anything is still running."""
        return self.state in ("running", "stopping")

    def __str__(self) -> str:
        steps = f"{self.done} of {self.total} steps" if self.total else "starting"
        left = f", {formatting.duration(round(self.left_s))} left" if self.left_s else ""
        return {
            "ready": "Nothing has run yet.",
            "running": f"Running: {steps}{left}.",
            "stopping": "Stopping …",
            "done": f"Done: {steps}.",
            "stopped": f"Stopped after {steps}; what was captured is kept.",
            "failed": self.error,
        }[self.state]


class Session:
    """A run of a choice in child processes, followed from a thread.

    Its captures go to a folder of their own below `root`, named by the time.
    """

    def __init__(self, choice: Choice, root: Path) -> None:
        self.choice = choice
        self.folder = root / f"{datetime.now(UTC):%Y-%m-%d-%H%M%S-%f}"
        self.live = Live(self.folder, choice.declared)
        self._stop, self._began = threading.Event(), 0.0
        #: The progress; replaced as a whole, so that threads need no lock.
        self.status = Status()
        self._thread = threading.Thread(target=self._run, name="resleak-panel", daemon=True)

    def start(self) -> None:
        """Start the run and return at once."""
        self._began = time.monotonic()
        self.status = Status("running")
        _at_exit(self)
        self._thread.start()

    def stop(self) -> None:
        """Kill all processes; their recordings are kept."""
        if self.status.busy:
            self.status = Status("stopping", self.status.done, self.status.total)
            self._stop.set()

    def wait(self, timeout_s: float | None = None) -> Status:
        """Wait for the end and return the last status."""
        self._thread.join(timeout_s)
        return self.status

    def readings(self) -> Iterator[Status]:
        """Yield the status until the end, including the last one."""
        while (now := self.status).busy:
            yield now
            self._thread.join(0.15)
        yield now

    def captures(self) -> Captures:
        """Return the complete captures."""
        captures = map(Capture, storage.folders(self.folder))
        return Captures(one for one in captures if one.complete)

    def judgement(self) -> ScenarioVerdict | None:
        """Return the verdict on the complete captures; None without gauges."""
        whole = self.captures()
        return judge(whole) if len(whole.select(instrument="gauges")) else None

    def _run(self) -> None:
        try:
            options = replace(
                self.choice.options, out=self.folder, progress=self._progress, stop=self._stop
            )
            capture(self.choice.source, options)
        except KeyboardInterrupt:  # what a capture that was stopped ends with
            self._ended("stopped")
        except Exception as error:  # whatever it is, the panel says so and lives on
            self._ended("failed", in_words(error))
        else:
            self._ended("done")

    def _progress(self, _label: str, done: int, total: int) -> None:
        if self.status.state == "running":
            share, took = done / max(total, 1), time.monotonic() - self._began
            left = took * (1 - share) / share if share > _TOO_EARLY else None
            self.status = Status("running", done, total, left)

    def _ended(self, state: State, error: str = "") -> None:
        now = self.status
        done = now.total if state == "done" else now.done
        self.status = Status(state, done, now.total, error=error)


def _at_exit(session: Session) -> None:
    """Stop a session when the interpreter ends."""
    alive = weakref.ref(session)

    def stop() -> None:
        if session := alive():
            session.stop()

    # `atexit` comes too late: it is only asked once the pools of all threads have been joined.
    getattr(threading, "_register_atexit", atexit.register)(stop)
