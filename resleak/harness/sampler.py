"""Sample a process and its children from outside, and store the readings as captures."""

from __future__ import annotations

import math
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from resleak.captures import storage, tables
from resleak.captures.manifest import Exit, Manifest, Phase, described, now, session
from resleak.captures.names import inside
from resleak.harness import process_gauges
from resleak.harness.measurement import host
from resleak.workload import gauges

#: The names of the captures: all processes added up, the one that was given, its children, and the
#: lives of its workers where one follows the other.
ALL, ONE, CHILD, RECYCLED = "all", "process", "child", "recycled"
PHASES = ("warmup", "steady", "settle")
_INDEX = ("t_s", "step", "phase")
_FAMILIES = ("handles", "resident", "maps")
_GAUGES = (
    *(name for name, gauge in gauges.BUILTIN.items() if gauge.family in _FAMILIES),
    *gauges.CONTEXT,
)
_WIDTH = len(_INDEX) + len(_GAUGES)
#: Of a core, for what costs more the larger a process is, and the more of them there are.
_QUICK_SHARE, _SLOW_SHARE, _FAMILY_SHARE = 0.0015, 0.0005, 0.001
#: A child with fewer readings shows no curve: it counts in the sum alone.
_FEWEST = 6
_MOST_CHILDREN = 32
#: Workers that ended from which on workers are replicates: one shows little before it ends.
_FEWEST_LIVES = 3
#: Seconds that a process may take to end its children before it ends itself.
_ENDING_S = 15.0
_UNITS = {gauge.name: gauge.unit for gauge in gauges.BUILTIN.values()} | gauges.CONTEXT


class Ration:
    """Allows an action as often as a share of one core pays for."""

    def __init__(self, share: float) -> None:
        self._share, self._next_s = share, 0.0

    @property
    def due(self) -> bool:
        """True once the cost of the last time has been paid for."""
        return time.monotonic() >= self._next_s

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Measure the cost of a block, which delays the next one."""
        began = time.process_time()
        yield
        self._next_s = time.monotonic() + (time.process_time() - began) / self._share


#: Readings with budgets of their own.
Slow = Sequence[tuple[Ration, Callable[[process_gauges.Outside], dict[str, float]]]]


class Curve:
    """The readings of one process, or of several added up."""

    def __init__(self, view: process_gauges.Outside | None = None) -> None:
        self.view, self._values = view, array("d")
        self.program = view.name if view else ""
        self.what = f"{self.program}, process {view.pid}" if view else "all processes added up"

    def __len__(self) -> int:
        return len(self._values) // _WIDTH

    def add(self, place: tuple[float, float, float], reading: Mapping[str, float]) -> None:
        """Append a reading with its second, its step and its phase."""
        self._values.extend(place)
        self._values.extend(reading.get(name, math.nan) for name in _GAUGES)

    def forget_last(self) -> None:
        """Drop the last reading."""
        del self._values[-_WIDTH:]

    def cut(self, t_s: float) -> None:
        """Drop the readings from a second on."""
        del self._values[bisect_left(self._values[::_WIDTH], t_s) * _WIDTH :]

    def last(self, gauge: str) -> float:
        """Return the last reading of a gauge."""
        return self._values[_GAUGES.index(gauge) - len(_GAUGES)]

    @property
    def place(self) -> tuple[float, int]:
        """A key that sorts processes as they were first read, whether or not they have ended."""
        return self._values[0] if len(self) else math.inf, self.view.pid if self.view else 0

    @property
    def steady(self) -> int:
        """The number of readings after the warm-up."""
        phases = self._values[_INDEX.index("phase") :: _WIDTH]
        return sum(phase == PHASES.index("steady") for phase in phases)

    def by_age(self) -> Curve:
        """Return the same with seconds and steps counted from its first reading."""
        aged = copy(self)
        rows = np.array(self._values).reshape(-1, _WIDTH)
        rows[:, :2] -= rows[0, :2]
        aged._values = array("d", rows.ravel())
        return aged

    def columns(self) -> dict[str, np.ndarray]:
        """Return the columns of a trace, shape (readings,) each."""
        rows = np.array(self._values).reshape(-1, _WIDTH)
        read = {name: rows[:, len(_INDEX) + i] for i, name in enumerate(_GAUGES)}
        return {
            "t_s": rows[:, 0],
            "step": rows[:, 1],
            "block": np.arange(len(rows), dtype=np.int32),
            "phase": np.array(PHASES, dtype=object)[rows[:, 2].astype(int)],
            "moment": np.full(len(rows), "reading", dtype=object),
            **{name: values for name, values in read.items() if not np.isnan(values).all()},
        }


@dataclass
class Observer:
    """Samples a process with all its children; without `steps`, steps are seconds.

    `requests` returns how many were answered so far; `phase` is ``warmup``, ``steady`` or
    ``settle`` (the load has stopped).
    """

    root: process_gauges.Outside
    name: str
    title: str
    every_s: float = 1.0
    steps: Callable[[], float] | None = None
    requests: Callable[[], float] | None = None
    per: str = "s"
    phase: str = "steady"
    exit: Exit = field(default_factory=Exit)

    def __post_init__(self) -> None:
        self.started = time.monotonic()
        self.session, self.began_at = "", now()
        self._quick = Ration(_QUICK_SHARE / min(1.0, self.every_s))
        self._family = Ration(_FAMILY_SHARE)
        self._slow = (
            (Ration(_SLOW_SHARE), process_gauges.Outside.memory),
            (Ration(_SLOW_SHARE), process_gauges.Outside.sockets),
        )
        self._sum, self._one = Curve(), Curve(self.root)
        self._children: dict[int, Curve] = {}
        self._ended: list[Curve] = []
        self._short_lived, self._losses = 0, list[float]()
        self._reaped_s = [self.root.reaped_s()] * 2
        self._began = {self.phase: 0.0}

    @property
    def elapsed_s(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.started

    @property
    def readings(self) -> int:
        """The number of readings."""
        return len(self._one)

    @property
    def unread(self) -> tuple[float, float]:
        """The life below which children are not read on their own, and what these took of a CPU."""
        known = sum(curve.last("cpu_s") for curve in self._ended)
        first, last = self._reaped_s
        return _FEWEST * self.every_s, max(0.0, last - first - known)

    def begin(self, phase: str) -> None:
        """Go on to a later phase."""
        if PHASES.index(phase) > PHASES.index(self.phase):
            self.phase = phase
            self._began[phase] = round(self.elapsed_s, 4)

    def read(self) -> bool:
        """Read every process once; return False once the first one has ended."""
        if not self.root.alive:
            self.exit = replace(self.exit, status="exited", phase="exit")
            # While a family ends one by one, its sum is no reading of it.
            last = [at for at in self._losses if self.elapsed_s - at < _ENDING_S]
            self._sum.cut(min(last, default=self.elapsed_s))
            return False
        counted: dict[str, float] = {}
        if self._family.due:
            with self._family.spending():
                views, zombies = self.root.family()
                counted |= {"children": len(views), "zombies": zombies}
                for view in views:
                    if view.pid not in self._children:
                        self._children[view.pid] = Curve(view)
        slow = [(ration, look) for ration, look in self._slow if ration.due]
        if slow or self._quick.due:
            self._keep(slow, counted)
        return True

    def _keep(self, slow: Slow, counted: dict[str, float]) -> None:
        at = self.elapsed_s
        place = (at, self.steps() if self.steps else at, float(PHASES.index(self.phase)))
        curves = [(one, one.view) for one in [self._one, *self._children.values()] if one.view]
        with self._quick.spending():
            read = [view.quick() for _, view in curves]
        for ration, look in slow:
            with ration.spending():
                for (_, view), reading in zip(curves, read, strict=True):
                    reading.update(look(view) if reading else {})
        readings = []
        self._reaped_s[1] = max(self._reaped_s[1], self.root.reaped_s())
        work = {"requests": self.requests()} if self.requests else {}
        for (curve, view), reading in zip(curves, read, strict=True):
            if reading:
                readings.append(reading | (counted if curve is self._one else {}))
                curve.add(place, readings[-1] | work)
            elif curve is not self._one:
                del self._children[view.pid]
                curve.forget_last()  # which may be of a process that is ending
                if len(curve) < _FEWEST:  # of many that live for a moment only their sum is kept
                    self._short_lived += 1
                else:
                    self._ended.append(curve)
                    self._losses.append(at)
        names = {name for reading in readings for name in reading}
        total = {name: sum(reading.get(name, 0.0) for reading in readings) for name in names}
        self._sum.add(place, total | work)

    def curves(self) -> dict[str, list[Curve]]:
        """Return the curves worth judging by name, the sum first; only `RECYCLED` has several."""
        # A process keeps its number when another one ends.
        children = sorted([*self._ended, *self._children.values()], key=lambda one: one.place)
        if not children and not self._short_lived:
            return {ONE: [self._one]}
        workers = self._recycled(children)
        lives = {RECYCLED: [one.by_age() for one in workers]} if workers else {}
        long = [one for one in children if len(one) >= _FEWEST and one not in workers]
        apart = enumerate(long[:_MOST_CHILDREN], start=1)
        named = {f"{CHILD}-{number}": [curve] for number, curve in apart}
        return {ALL: [self._sum], ONE: [self._one], **lives, **named}

    def _recycled(self, children: list[Curve]) -> list[Curve]:
        """Return the workers that follow each other, without those that show little."""
        # A forked worker is of its parent's program; commands that come and go are of others.
        program = self._one.program
        if sum(curve.program == program for curve in self._ended) < _FEWEST_LIVES:
            return []
        workers = [one for one in children if one.program == program]
        longest = max(one.steady for one in workers)
        return [one for one in workers if 2 * one.steady >= longest][-_MOST_CHILDREN:]

    def manifest(self, variant: str, curves: Mapping[str, list[Curve]], run: int) -> Manifest:
        """Return the manifest of one curve's capture."""
        what = {name: runs[0].what for name, runs in curves.items()}
        if RECYCLED in curves:
            count, program = len(curves[RECYCLED]), self._one.program
            what[RECYCLED] = f"{program}, {count} workers one after the other, by their age"
        ends = [*list(self._began.values())[1:], round(self.elapsed_s, 4)]
        began = zip(self._began.items(), ends, strict=True)
        return Manifest(
            scenario=described(self.name, self.title, what),
            variant=variant,
            run=run,
            session=self.session,
            started=self.began_at,
            host=host(),
            per=self.per,
            steps=len(curves[variant][run - 1]),
            phases=tuple(Phase(name, start, end) for (name, start), end in began),
            exit=self.exit,
            missing=tuple(gauges.missing(set(curves[variant][run - 1].columns()))),
        )

    def write(self, out: Path) -> Path:
        """Store a capture for each curve in place of earlier ones; return the folder above them."""
        self.session = session()  # also in place of those of this watch: curves change their names
        curves, folder = self.curves(), inside(out, self.name)
        for variant, runs in curves.items():
            for run, curve in enumerate(runs, start=1):
                with storage.writing(inside(folder, variant, f"gauges-{run:02}")) as partial:
                    tables.write_table(partial / "trace.parquet", curve.columns(), _UNITS)
                    storage.write_manifest(partial, self.manifest(variant, curves, run))
        for earlier in folder.iterdir():
            storage.retire(earlier, self.session)
        return folder
