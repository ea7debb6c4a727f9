"""Read the recordings of runs that are still going on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from resleak.analysis import growth
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.analysis.rows import Rows
from resleak.captures import frames, raw, storage
from resleak.captures.decode import trace
from resleak.errors import ResleakError
from resleak.workload.gauges import BUILTIN, MEASURES, Gauge

_RUN = re.compile(r"\.?gauges-(?P<run>\d+)(\.incomplete-\d+-[0-9a-f]{8})?$")
_MOST_SHOWN = 4


class Live:
    """The readings of a capture's runs below `root`, both running and ended."""

    def __init__(self, root: Path, declared: Mapping[str, Any]) -> None:
        self.declared = declared
        self._folder = root / declared["name"]
        self._seen: dict[tuple[str, int], pd.DataFrame] = {}
        self._ended: set[tuple[str, int]] = set()

    @property
    def gauges(self) -> dict[str, Gauge]:
        """All gauges that may have readings."""
        own = {one["name"]: Gauge(**one) for one in self.declared["own_gauges"]}
        return {**BUILTIN, **MEASURES, **own}

    @property
    def shown(self) -> dict[str, Gauge]:
        """The few gauges to draw: the evidence and the control."""
        declared, known = self.declared, self.gauges
        own = [one["name"] for one in declared["own_gauges"] if one["kind"] != "fact"]
        usual = ["heap", "fds"] if not declared["gauges"] and not own else []
        first = [*own, *declared["gauges"], *usual]
        names = [*dict.fromkeys(first)][: _MOST_SHOWN - 1]
        return {n: known[n] for n in dict.fromkeys([*names, declared["control"]]) if n in known}

    def read(self) -> pd.DataFrame:
        """Return all rows so far, as `resleak.traces` does."""
        for key, folder in self._runs():
            if key not in self._ended:
                self._update(key, folder)
        if not self._seen:
            return pd.DataFrame(columns=["scenario", "variant", "run", "step", "phase", "moment"])
        parts = [
            rows.assign(scenario=self.declared["name"], variant=variant, run=run)
            for (variant, run), rows in sorted(self._seen.items(), key=self._place)
        ]
        joined = pd.concat(parts, ignore_index=True)
        joined.attrs["units"] = {name: gauge.unit for name, gauge in self.gauges.items()}
        return joined

    def judge(self, rows: pd.DataFrame) -> Rows[GaugeVerdict]:
        """Return the verdicts on these rows; early ones ask for more steps."""
        return growth.judge(rows, self.gauges) if len(rows) else Rows(GaugeVerdict)

    def _place(self, item: tuple[tuple[str, int], pd.DataFrame]) -> tuple[int, int]:
        (variant, run), _ = item
        return list(self.declared["variants"]).index(variant), run

    def _runs(self) -> Iterator[tuple[tuple[str, int], Path]]:
        for folder in self._folder.glob("*/*"):
            if found := _RUN.match(folder.name):
                yield (folder.parent.name, int(found["run"])), folder

    def _update(self, key: tuple[str, int], folder: Path) -> None:
        stored = not folder.name.startswith(".")
        # A run may end, and its folder be renamed, at any moment: then it is read the next time.
        with suppress(ResleakError, OSError, IndexError, ValueError):
            rows = frames.Capture(folder).trace if stored else _going_on(folder)
            rows.attrs = {}
            if len(rows):
                self._seen[key] = rows
            if stored:
                self._ended.add(key)


def _going_on(folder: Path) -> pd.DataFrame:
    names, rows = trace.inside_rows(folder)
    index = {
        "t_s": rows[:, 0],
        "step": rows[:, 1].astype(int),
        "block": rows[:, 2].astype(int),
        "phase": [raw.PHASES[int(n)] for n in rows[:, 3]],
        "moment": [raw.MOMENTS[int(n)] for n in rows[:, 4]],
    }
    read = {name: rows[:, raw.INDEX + place] for place, name in enumerate(names)}
    return pd.DataFrame({**index, **read})


def stored(root: Path, *, whole: bool = True) -> frames.Captures:
    """Return the captures below a folder; with `whole`, only the complete ones."""
    found = [frames.Capture(folder) for folder in storage.folders(root)]
    return frames.Captures(one for one in found if one.complete or not whole)
