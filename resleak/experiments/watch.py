"""Watch a running process: sample it, and judge the samples again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from resleak import formatting
from resleak.analysis import budgets, verdicts
from resleak.analysis.forecast import Ceiling, Forecast, forecasts
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.analysis.rows import Rows, plain
from resleak.analysis.verdicts import ScenarioVerdict
from resleak.captures.frames import Capture, Captures
from resleak.harness import control_groups, process_gauges
from resleak.harness.control_groups import NO_LIMIT, number, text
from resleak.harness.sampler import ALL, Curve, Observer, Ration
from resleak.workload.gauges import BUILTIN
from resleak.workload.verdict_words import BUDGET, LEAK, UNDECIDED

#: Sockets in CLOSE_WAIT from which on their peers are named.
_MANY_WAITING = 5
#: Share of a core for judging.
_JUDGING_SHARE = 0.0015
#: Seconds of readings before growth of memory may end a watch: caches fill for minutes.
_MEMORY_S = 180.0
#: Readings before the first look, and their factor from look to look.
_FIRST, _MORE = 12, 1.5
#: The gauges that a limit of memory, or of tasks, is about.
_MEMORY, _TASKS = ("uss", "rss"), ("threads", "zombies", "children")
#: What the readings of a gauge show, by its verdict.
_SHOWN = {"plateau": "show a plateau", "flat": "show no growth", UNDECIDED: "are inconclusive"}


@dataclass(frozen=True)
class Look:
    """The verdicts on a watched process, `t_s` seconds after the watch began.

    The judgement's variants are the processes; `forecasts` are by process the limits that proven
    leaks will reach, `budgets` as `budgets.check` returns them; `close_wait` counts by process and
    peer the sockets that the peer has closed and the process has not.
    """

    t_s: float
    readings: int
    judgement: ScenarioVerdict
    forecasts: dict[str, list[Forecast]]
    budgets: Rows[budgets.BudgetCheck]
    close_wait: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def leaks(self) -> set[tuple[str, str]]:
        """The processes and gauges with a proven leak."""
        return {(one.variant, one.gauge) for one in self.judgement.gauges if one.is_leak}

    @property
    def is_clean(self) -> bool:
        """True if no gauge is leaking or deferred, and no budget is exceeded."""
        return not self.overspent and not any(one.symptoms for one in self.judgement.gauges)

    @property
    def overspent(self) -> set[tuple[str, str]]:
        """The processes and budgets that are exceeded."""
        return {(row.variant, row.budget) for row in self.budgets if not row.holds}

    def breach(self, before: Look | None, stop_on: Collection[str]) -> str:
        """Return the breach that this look and the one before have in common, or nothing."""
        if before is None:
            return ""
        memory = {name for name, gauge in BUILTIN.items() if not gauge.is_counted}
        lasting = {one for one in self.leaks if self.t_s >= _MEMORY_S or one[1] not in memory}
        if LEAK in stop_on and lasting & before.leaks:
            return LEAK
        return BUDGET if BUDGET in stop_on and self.overspent & before.overspent else ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        judgement = self.judgement.to_dict()
        return {
            "t_s": round(self.t_s, 1),
            "readings": self.readings,
            "per": judgement["per"],
            "processes": judgement["variants"],
            "forecasts": plain(self.forecasts),
            "budgets": plain(self.budgets),
            "close_wait": self.close_wait,
        }


@dataclass
class Watch:
    """A watch over one process and its children."""

    observer: Observer
    #: Time limit in seconds; without one the watch ends with the process.
    for_s: float | None = None
    #: The breaches that end the watch: `LEAK`, `BUDGET`.
    stop_on: Collection[str] = ()
    limits: budgets.Budgets = field(default_factory=budgets.read)
    #: Seconds that are read and not judged, of an observer that begins with its warm-up.
    warmup_s: float = 0.0
    #: Called after each reading; returns whether to end the watch.
    enough: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        self.looks = Ration(_JUDGING_SHARE)
        self.last: Look | None = None
        self.breach = ""
        #: The first look at which each process and gauge leaked.
        self._leaks: dict[tuple[str, str], Look] = {}
        self._limits: dict[int, list[Ceiling]] = {}

    def run(self, on_look: Callable[[Look], None], on_reading: Callable[[], None]) -> None:
        """Read and judge until the process ends, the time is up, or a breach is confirmed.

        Looks are frequent at first, and later about two per minute.
        """
        due = time.monotonic()
        while self.observer.read():
            on_reading()
            if self.warmup_s and self.observer.elapsed_s >= self.warmup_s:
                self.observer.begin("steady")
            readings, judged = self.observer.readings, self.last.readings if self.last else 0
            is_early = readings >= max(_FIRST, _MORE * judged)
            if is_early or (readings > _FIRST and self.looks.due):
                with self.looks.spending():
                    on_look(self.look())
            is_late = self.for_s is not None and self.observer.elapsed_s >= self.for_s
            if is_late or self.breach or self.enough():
                break
            due = max(due + self.observer.every_s, now := time.monotonic())
            time.sleep(due - now)

    def look(self) -> Look:
        """Judge the readings so far."""
        before, curves = self.last, self.observer.curves()
        live, close_wait = [], {}
        for variant, runs in curves.items():
            for run, curve in enumerate(runs, start=1):
                trace = pd.DataFrame(curve.columns())
                trace.attrs["units"] = {}
                live.append(Capture.live(self.observer.manifest(variant, curves, run), trace))
            # Of the last one: the others have ended.
            waiting = trace.get("sockets_close_wait", pd.Series(dtype=float)).dropna()
            if curve.view and len(waiting) and waiting.iloc[-1] >= _MANY_WAITING:
                close_wait[variant] = curve.view.close_wait()
        captures = Captures(live)
        judgement = verdicts.judge(captures)
        now = Look(
            self.observer.elapsed_s,
            self.observer.readings,
            judgement,
            dict(self._forecasts(judgement, curves, captures)),
            budgets.check(judgement, captures, self.limits),
            close_wait,
        )
        self.breach, self.last = now.breach(before, self.stop_on), now
        self._leaks = dict.fromkeys(now.leaks, now) | self._leaks
        return now

    @property
    def withdrawn(self) -> list[str]:
        """A sentence for each leak of an earlier look that all readings do not confirm."""
        if self.last is None or self.observer.phase == "settle":  # what drains later is deferred
            return []
        final = {(one.variant, one.gauge): one.verdict for one in self.last.judgement.gauges}
        return [
            f"{one[0]}: after {formatting.duration(look.t_s)} {one[1]} looked like a leak; all "
            f"readings together {_SHOWN.get(final[one], f'show it {final[one]}')}"
            for one, look in self._leaks.items()
            if one in final.keys() - self.last.leaks
        ]

    def _forecasts(
        self, judgement: ScenarioVerdict, curves: dict[str, list[Curve]], captures: Captures
    ) -> Iterable[tuple[str, list[Forecast]]]:
        """Yield forecasts by process; shared limits are forecast for all processes together."""
        everyone = ALL if ALL in curves else next(iter(curves))
        for variant, (curve, *others) in curves.items():
            if others:  # a recycled worker begins anew
                continue
            ceilings = self._own_limits(curve.view) if curve.view else []
            if variant == everyone:
                ceilings += shared_limits(self.observer.root)
            gauges = judgement.variants[variant].gauges
            if judgement.per != "s":  # by the clock: what was done so far goes on at this pace
                pace = budgets.pace(captures.select(variant=variant))
                gauges = Rows(GaugeVerdict, (one.scaled(pace, "s") for one in gauges))
            if reached := forecasts(gauges, ceilings):
                yield variant, reached

    def _own_limits(self, process: process_gauges.Outside) -> list[Ceiling]:
        """Return the limits of one process; if all have ended, those at the look before."""
        if process.alive:
            self._limits[process.pid] = own_limits(process)
        elif self.observer.root.alive:  # it ended alone, and uses nothing up any more
            self._limits.pop(process.pid, None)
        return [*self._limits.get(process.pid, [])]


def own_limits(process: process_gauges.Outside) -> list[Ceiling]:
    """Return the limits of one process alone (``getrlimit(2)``, ``proc(5)``): files and maps."""
    used = process.quick() | process.maps()
    limits = (
        ("RLIMIT_NOFILE", "fds", process.rlimit("RLIMIT_NOFILE"), "descriptors"),
        ("max_map_count", "maps", number(Path("/proc/sys/vm/max_map_count")), "maps"),
    )
    return [
        Ceiling(name, (gauge,), limit, used[gauge], unit)
        for name, gauge, limit, unit in limits
        if limit is not None and gauge in used
    ]


def shared_limits(process: process_gauges.Outside, root: Path = Path("/")) -> list[Ceiling]:
    """Return the limits that a process shares: tasks, files and memory, of each control group.

    `root` contains ``proc`` and ``sys``, as ``proc(5)`` and the kernel's documentation have them.
    """
    ceilings = []
    limit = process.rlimit("RLIMIT_NPROC")
    if limit is not None and not process.is_root:
        threads = process.threads_of_user()
        ceilings.append(Ceiling("RLIMIT_NPROC", _TASKS, limit, threads, "threads"))
    running = text(root / "proc/loadavg").split()[3:4]
    for name in ("threads-max", "pid_max"):
        most = number(root / "proc/sys/kernel" / name)
        if most is not None and running:
            used = float(running[0].split("/")[1])
            ceilings.append(Ceiling(name, _TASKS, most, used, "threads"))
    files, _, most_files = (text(root / "proc/sys/fs/file-nr").split() or [""] * 3)[:3]
    if files.isdecimal() and most_files.isdecimal() and float(most_files) < NO_LIMIT:
        most, used = float(most_files), float(files)
        ceilings.append(Ceiling("file-max", ("fds",), most, used, "descriptors"))
    for one in control_groups.limits(process.pid, root):
        gauges, unit = (_TASKS, "threads") if one.is_tasks else (_MEMORY, "B")
        name = f"the control group's {one.name}"
        ceilings.append(Ceiling(name, gauges, one.limit, one.used, unit))
    total, used = process_gauges.memory()
    return [*ceilings, Ceiling("the machine's memory", _MEMORY, total, used, "B")]
