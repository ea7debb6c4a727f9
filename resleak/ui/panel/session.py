"""One run of a scenario from the panel, without widgets: start, follow, read, stop, judge."""

from __future__ import annotations

import atexit
import re
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from resleak import formatting
from resleak.analysis import growth
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.analysis.rows import Rows
from resleak.analysis.verdicts import ScenarioVerdict, judge
from resleak.captures import frames, raw, storage
from resleak.captures.decode import trace
from resleak.errors import ResleakError
from resleak.harness.runner import capture
from resleak.ui.panel.choices import Choice
from resleak.ui.panel.results import in_words
from resleak.workload.gauges import BUILTIN, LIVE_MEMORY, MEASURES, Gauge

State = Literal["ready", "running", "stopping", "done", "stopped", "failed"]
#: Share of the steps before which the time left is not estimated.
_TOO_EARLY = 0.03
_RUN = re.compile(r"\.?gauges-(?P<run>\d+)(\.incomplete-\d+-[0-9a-f]{8})?$")
_MOST_SHOWN = 4


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
        alive = weakref.ref(self)

        def stop() -> None:
            if session := alive():
                session.stop()

        # `atexit` comes too late: it is only asked once the pools of all threads have been joined.
        getattr(threading, "_register_atexit", atexit.register)(stop)
        self._thread.start()

    def stop(self) -> None:
        """Kill all processes; their recordings are kept."""
        if self.status.busy:
            self.status = Status("stopping", self.status.done, self.status.total)
            self._stop.set()

    def readings(self) -> Iterator[Status]:
        """Yield the status until the end, including the last one."""
        while (now := self.status).busy:
            yield now
            self._thread.join(0.15)
        yield now

    def captures(self) -> frames.Captures:
        """Return the complete captures."""
        captures = map(frames.Capture, storage.folders(self.folder))
        return frames.Captures(one for one in captures if one.complete)

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


class Live:
    """The readings of a capture's runs below `root`, both running and ended."""

    def __init__(self, root: Path, declared: Mapping[str, Any]) -> None:
        self.declared = declared
        self._folder = root / declared["name"]
        #: Rows by variant and run, and the runs that have ended.
        self._rows: dict[tuple[str, int], pd.DataFrame] = {}
        self._ended: set[tuple[str, int]] = set()

    @property
    def gauges(self) -> dict[str, Gauge]:
        """All gauges that may have readings."""
        own = {one["name"]: Gauge(**one) for one in self.declared["own_gauges"]}
        return {**BUILTIN, **MEASURES, **own}

    @property
    def shown(self) -> dict[str, Gauge]:
        """The few gauges to draw: the evidence and the control."""
        declared, gauges = self.declared, self.gauges
        own = [one["name"] for one in declared["own_gauges"] if one["kind"] != "fact"]
        first = [*own, *declared["gauges"]] or [LIVE_MEMORY[0], next(iter(BUILTIN))]
        names = [*dict.fromkeys(first)][: _MOST_SHOWN - 1]
        return {n: gauges[n] for n in dict.fromkeys([*names, declared["control"]]) if n in gauges}

    def read(self) -> pd.DataFrame:
        """Return all rows so far, as `resleak.traces` does."""
        for folder in self._folder.glob("*/*"):
            match = _RUN.match(folder.name)
            key = (folder.parent.name, int(match["run"])) if match else None
            if key is None or key in self._ended:
                continue
            is_stored = not folder.name.startswith(".")
            # A run may end, and its folder be renamed, at any moment: it is read the next time.
            with suppress(ResleakError, OSError, IndexError, ValueError):
                rows = frames.Capture(folder).trace if is_stored else _readings_so_far(folder)
                rows.attrs = {}
                if len(rows):
                    self._rows[key] = rows
                if is_stored:
                    self._ended.add(key)
        if not self._rows:
            return pd.DataFrame(columns=["scenario", "variant", "run", "step", "phase", "moment"])
        name, order = self.declared["name"], list(self.declared["variants"])
        parts = [
            self._rows[variant, run].assign(scenario=name, variant=variant, run=run)
            for variant, run in sorted(self._rows, key=lambda key: (order.index(key[0]), key[1]))
        ]
        joined = pd.concat(parts, ignore_index=True)
        joined.attrs["units"] = {name: gauge.unit for name, gauge in self.gauges.items()}
        return joined

    def judge(self, rows: pd.DataFrame) -> Rows[GaugeVerdict]:
        """Return the verdicts on these rows; early ones ask for more steps."""
        return growth.judge(rows, self.gauges) if len(rows) else Rows(GaugeVerdict)


def _readings_so_far(folder: Path) -> pd.DataFrame:
    names, rows = trace.inside_rows(folder)
    index = {
        "t_s": rows[:, 0],
        "step": rows[:, 1].astype(int),
        "block": rows[:, 2].astype(int),
        "phase": [raw.PHASES[int(n)] for n in rows[:, 3]],
        "moment": [raw.MOMENTS[int(n)] for n in rows[:, 4]],
    }
    readings = {name: rows[:, raw.INDEX + place] for place, name in enumerate(names)}
    return pd.DataFrame({**index, **readings})
