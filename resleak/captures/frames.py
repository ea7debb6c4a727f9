"""Captures as dataframes: find them, check them, read their tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import overload

import pandas as pd

from resleak import formatting
from resleak.captures import archive, storage, tables
from resleak.captures.manifest import Exit, Manifest
from resleak.captures.raw import INSTRUMENTS
from resleak.errors import StoreError
from resleak.workload.gauges import BUILTIN, MEASURES, Gauge

#: What is shown of several captures, and of how many variants at most.
_HEAD = ("scenario", "variant", "runs", "stacks", "steps", "ended", "made")
_MOST_ROWS = 40


class Capture(formatting.Shown):
    """The results of one run: its tables by name, and its `manifest` with everything else."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.manifest = storage.read_manifest(self.path)

    @classmethod
    def live(cls, manifest: Manifest, trace: pd.DataFrame) -> Capture:
        """Return a capture that is still being made: it looks like one that was stored."""
        made = cls.__new__(cls)
        made.path, made.manifest = Path(), manifest
        made.__dict__["trace"] = trace
        return made

    def _table(self) -> formatting.Table:
        about, end = self.manifest, self.exit
        packages = about.versions.packages.items()
        host = (about.host[key] for key in ("system", "machine", "libc") if key in about.host)
        rows = {
            "steps": f"{about.steps} after {about.warmup} to warm up",
            "ended": f"{end.status} in {end.phase}, code {end.code}",
            "made": f"{about.started} {'' if self.complete else '(not complete)'}",
            "seed": str(about.seed),
            "parameters": ", ".join(f"{k} = {v!r}" for k, v in about.params.items()),
            "Python": " ".join([about.versions.python, *(f"{k} {v}" for k, v in packages)]),
            "host": " ".join(map(str, host)),
            "revision": about.git,
        }
        title = f"capture: {self.scenario} {self.variant}, {self.instrument}, run {self.run}"
        return formatting.Table((), [row for row in rows.items() if row[1].strip()], title)

    @property
    def scenario(self) -> str:
        """The scenario's name."""
        return self.manifest.scenario.name

    @property
    def variant(self) -> str:
        """The variant's name."""
        return self.manifest.variant

    @property
    def instrument(self) -> str:
        """``gauges``, ``memray``, ``handles`` or ``forensics``."""
        return self.manifest.instrument

    @property
    def run(self) -> int:
        """The number of this run among its replicates."""
        return self.manifest.run

    @property
    def per(self) -> str:
        """The unit of its steps: ``step``, ``s`` (seconds) or ``request``."""
        return self.manifest.per

    @property
    def complete(self) -> bool:
        """True if the run ended, by itself or at its deadline, and was stored whole."""
        return self.manifest.is_complete

    @property
    def exit(self) -> Exit:
        """The end of the process: status, phase, code, exit_s, stacks."""
        return self.manifest.exit

    def table(self, name: str) -> pd.DataFrame:
        """Return a table, units in ``.attrs["units"]``; StoreError if it is not as expected."""
        expected = INSTRUMENTS[self.instrument].tables.get(name, ())
        of = f"{self.scenario} {self.variant}"
        return tables.read_frame(self.path / f"{name}.parquet", expected, of)

    @cached_property
    def trace(self) -> pd.DataFrame:
        """The gauges over the run, one row a reading; see ``data/README.md`` for the columns."""
        return self.table("trace")


class Captures(formatting.Shown, Sequence[Capture]):
    """Several captures, in the order of scenario, variant, instrument and run."""

    def __init__(self, captures: Iterable[Capture]) -> None:
        self._captures = tuple(captures)

    def __len__(self) -> int:
        return len(self._captures)

    def __iter__(self) -> Iterator[Capture]:
        return iter(self._captures)

    @overload
    def __getitem__(self, index: int) -> Capture: ...
    @overload
    def __getitem__(self, index: slice) -> Captures: ...
    def __getitem__(self, index: int | slice) -> Capture | Captures:
        """Return one capture, or a slice of them."""
        if isinstance(index, slice):
            return Captures(self._captures[index])
        return self._captures[index]

    def __repr__(self) -> str:
        return replace(self._table(), note="").text()

    def _table(self) -> formatting.Table:
        groups: dict[tuple[str, str], list[Capture]] = {}
        for one in self:
            groups.setdefault((one.scenario, one.variant), []).append(one)
        rows = [
            (
                *names,
                sum(one.instrument == "gauges" for one in group),
                "yes" if any(one.instrument == "memray" for one in group) else "no",
                group[0].manifest.steps,
                ", ".join(dict.fromkeys(one.exit.status for one in group)),
                group[0].manifest.started[:10],
            )
            for names, group in groups.items()
        ]
        more = f"and {len(rows) - _MOST_ROWS} variants more" if len(rows) > _MOST_ROWS else ""
        return formatting.Table(_HEAD, rows[:_MOST_ROWS], f"{len(self)} captures", more)

    def select(
        self,
        *,
        scenario: str | None = None,
        variant: str | None = None,
        instrument: str | None = None,
    ) -> Captures:
        """Return the captures of one scenario, variant or instrument."""
        wanted = {"scenario": scenario, "variant": variant, "instrument": instrument}
        return Captures(
            one for one in self if all(v in (None, getattr(one, k)) for k, v in wanted.items())
        )

    @property
    def variants(self) -> list[str]:
        """The variants, in the order in which the scenario declares them."""
        present = dict.fromkeys(c.variant for c in self)
        declared = [v for c in self[:1] for v in c.manifest.scenario.variants]
        return [v for v in declared if v in present] or list(present)

    @property
    def frame(self) -> pd.DataFrame:
        """One row a capture: what ran, how, how it ended, and where it is."""
        return pd.DataFrame(
            {
                "scenario": [c.scenario for c in self],
                "variant": [c.variant for c in self],
                "instrument": [c.instrument for c in self],
                "run": [c.run for c in self],
                "seed": [c.manifest.seed for c in self],
                "steps": [c.manifest.steps for c in self],
                "exit": [c.exit.status for c in self],
                "python": [c.manifest.versions.python for c in self],
                "path": [str(c.path) for c in self],
            }
        )


def read(root: Path) -> tuple[list[Capture], list[str]]:
    """Return the complete captures at or below a path, and a line for each other one."""
    captures: list[Capture] = []
    problems: list[str] = []
    packed = root.parent / archive.NAME
    if not root.exists() and packed.is_file():  # a variant in the archive of its scenario
        captures, problems = read(packed)
        return [one for one in captures if one.manifest.variant == root.name], problems
    for place in storage.places(root):
        try:
            folders = storage.unpacked(place)
        except StoreError as error:
            problems.append(str(error))
            continue
        for folder in folders:
            try:
                capture = Capture(folder)
            except StoreError as error:
                problems.append(str(error))
                continue
            if capture.complete:
                captures.append(capture)
            else:
                problems.append(f"{folder} is incomplete")
    return captures, problems


def traces(captures: Iterable[Capture]) -> pd.DataFrame:
    """Join the traces of several captures.

    Parameters
    ----------
    captures : iterable of Capture
        Those without gauges are passed over.

    Returns
    -------
    DataFrame
        The columns of each trace, preceded by ``scenario``, ``variant`` and ``run``. In
        ``.attrs["units"]`` the unit by column, in ``.attrs["per"]`` what the steps are.

    Raises
    ------
    StoreError
        If none has gauges, or steps of different kinds would be mixed.
    """
    captures = list(captures)
    measured = [capture for capture in captures if capture.instrument == "gauges"]
    per = {capture.per for capture in measured}
    if len(per) > 1:
        raise StoreError(f"these captures count by different things: {', '.join(sorted(per))}")
    if not measured:
        raise StoreError("none of these captures has gauges; capture the variants again")
    frames: list[pd.DataFrame] = []
    units: dict[str, str] = {}
    for one in measured:
        units |= one.trace.attrs["units"]
        frames.append(one.trace.assign(scenario=one.scenario, variant=one.variant, run=one.run))
        # Attributes are compared, one by one, on joining; the joined frame gets its own.
        frames[-1].attrs = {}
    joined = pd.concat(frames, ignore_index=True)
    first = ["scenario", "variant", "run"]
    joined = joined[first + [c for c in joined.columns if c not in first]]
    joined.attrs |= {"units": units, "per": per.pop()}
    joined.attrs["limited"] = any(one.manifest.exit.limit for one in captures)
    return joined


def gauges_of(captures: Iterable[Capture]) -> dict[str, Gauge]:
    """Return the gauges that can be judged in these captures: built-in ones and their own."""
    own = (gauge for capture in captures for gauge in capture.manifest.scenario.own_gauges)
    return {**BUILTIN, **MEASURES, **{gauge.name: gauge for gauge in own}}
