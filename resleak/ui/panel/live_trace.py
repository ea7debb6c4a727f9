"""Read the recordings of runs that are still going on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from resleak.analysis import growth
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.analysis.rows import Rows
from resleak.captures import frames, raw
from resleak.captures.decode import trace
from resleak.errors import ResleakError
from resleak.workload.gauges import BUILTIN, LIVE_MEMORY, MEASURES, Gauge

_RUN = re.compile(r"\.?gauges-(?P<run>\d+)(\.incomplete-\d+-[0-9a-f]{8})?$")
_MOST_SHOWN = 4


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
            if match := _RUN.match(folder.name):
                self._update((folder.parent.name, int(match["run"])), folder)
        if not self._rows:
            return pd.DataFrame(columns=["scenario", "variant", "run", "step", "phase", "moment"])
        order = list(self.declared["variants"])
        parts = [
            self._rows[variant, run].assign(
                scenario=self.declared["name"], variant=variant, run=run
            )
            for variant, run in sorted(self._rows, key=lambda key: (order.index(key[0]), key[1]))
        ]
        joined = pd.concat(parts, ignore_index=True)
        joined.attrs["units"] = {name: gauge.unit for name, gauge in self.gauges.items()}
        return joined

    def judge(self, rows: pd.DataFrame) -> Rows[GaugeVerdict]:
        """Return the verdicts on these rows; early ones ask for more steps."""
        return growth.judge(rows, self.gauges) if len(rows) else Rows(GaugeVerdict)

    def _update(self, key: tuple[str, int], folder: Path) -> None:
        if key in self._ended:
            return
        is_stored = not folder.name.startswith(".")
        # A run may end, and its folder be renamed, at any moment: then it is read the next time.
        with suppress(ResleakError, OSError, IndexError, ValueError):
            rows = frames.Capture(folder).trace if is_stored else _readings_so_far(folder)
            rows.attrs = {}
            if len(rows):
                self._rows[key] = rows
            if is_stored:
                self._ended.add(key)


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
