"""Stored captures as people choose them: runs of one variant and one session."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd

from resleak import formatting
from resleak.captures.frames import Capture, Captures, read, traces


@dataclass(frozen=True)
class Side:
    """Runs of one variant that were made together, below the folder `where`."""

    captures: Captures
    where: str = ""

    @property
    def name(self) -> str:
        """Scenario and variant."""
        return f"{self.captures[0].scenario} {self.captures[0].variant}"

    @property
    def runs(self) -> list[int]:
        """Numbers of its runs with the gauges."""
        return [one.run for one in self.captures if one.instrument == "gauges"]

    @property
    def made(self) -> str:
        """Time of its first run, to the minute; empty if unknown."""
        begun = min(one.manifest.started for one in self.captures)
        try:
            return f"{datetime.fromisoformat(begun):%Y-%m-%d %H:%M}"
        except ValueError:
            return ""

    @property
    def versions(self) -> str:
        """Version of Python, and revision of the measured code."""
        first = self.captures[0].manifest
        python = first.versions.python
        return " ".join(filter(None, (f"Python {python}" if python else "", first.git)))

    @property
    def label(self) -> str:
        """Name, number of runs and time."""
        return _line(self.name, formatting.counted(len(self.runs), "run"), self.made)

    def __str__(self) -> str:
        return _line(self.label, self.versions, self.where)

    def only(self, run: int | None) -> Side:
        """Return the side with one run alone, and the memory profile; all runs for None."""
        if run is None:
            return self
        kept = (one for one in self.captures if one.run == run or one.instrument == "memray")
        return Side(Captures(kept), self.where)


@dataclass(frozen=True)
class Shelf:
    """All there is to choose from: by name, the newest first; a line for each unreadable folder."""

    sides: list[Side]
    problems: list[str]

    def search(self, query: str) -> list[Side]:
        """Return the sides in whose description every word occurs."""
        words = query.lower().split()
        return [side for side in self.sides if all(word in str(side).lower() for word in words)]


def shelf(*roots: Path | str) -> Shelf:
    """Return all that can be compared below folders; empty ones are reported as problems."""
    sides: list[Side] = []
    problems: list[str] = []
    for root in dict.fromkeys(map(Path, roots)):
        groups: dict[tuple[Path, str], list[Capture]] = defaultdict(list)
        captures, damaged = read(root)
        problems += damaged
        for capture in captures:
            groups[capture.path.parent, capture.manifest.session].append(capture)
        if not groups:
            problems.append(f"there is no complete capture in {root}")
        ordered = (sorted(g, key=lambda one: (one.instrument, one.run)) for g in groups.values())
        sides += [Side(Captures(group), str(root)) for group in ordered]
    found = [side for side in sides if side.runs]
    newest_first = sorted(found, key=lambda side: side.made, reverse=True)
    return Shelf(sorted(newest_first, key=lambda side: side.name), problems)


def joined(before: Captures, after: Captures) -> pd.DataFrame:
    """Return the traces of two sides as variants; of the same name, ``before`` and ``after``."""
    both = [traces(side) for side in (before, after)]
    names = [str(side["variant"].iloc[0]) for side in both]
    if names[0] == names[1]:
        names = ["before", "after"]
    units = {name: unit for side in both for name, unit in side.attrs["units"].items()}
    parts = [side.assign(variant=name) for side, name in zip(both, names, strict=True)]
    for part in parts:
        part.attrs = {}
    frame = pd.concat(parts, ignore_index=True)
    frame.attrs["units"] = units
    return frame


def _line(*parts: str) -> str:
    return " · ".join(" ".join(part.split()) for part in parts if part)
