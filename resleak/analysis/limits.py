"""Check the limits that a scenario declares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from resleak.analysis.rows import Rows
from resleak.captures.frames import Capture, gauges_of
from resleak.workload.scenario import Limit

_SECONDS = ("exit_s", "cleanup_s", "cpu_s")
#: Those that are no time of a step.
_AFTER = ("exit_s", "cleanup_s")


@dataclass(frozen=True, kw_only=True)
class LimitVerdict:
    """One declared limit over all runs of a variant; `holds` is None if nothing was measured."""

    gauge: str
    limit: str
    holds: bool | None
    worst: float
    allowed: float
    unit: str = ""
    source: str = ""

    @property
    def is_of_steps(self) -> bool:
        """True if it limits the time of a step."""
        return self.unit == "s" and self.gauge not in _AFTER

    @property
    def is_broken(self) -> bool:
        """True if a reading broke the limit."""
        return self.holds is False


def check(captures: Iterable[Capture]) -> Rows[LimitVerdict]:
    """Check every declared limit over all runs of one variant."""
    runs = [c for c in captures if c.instrument == "gauges"]
    limits = [limit for c in runs[:1] for limit in c.manifest.scenario.limits]
    return Rows(LimitVerdict, (_check_one(limit, runs) for limit in limits))


def _check_one(limit: Limit, runs: list[Capture]) -> LimitVerdict:
    values = np.concatenate([readings(limit, run) for run in runs])
    values = values[~np.isnan(values)]
    worst, holds = _worst(limit, values) if len(values) else (np.nan, None)
    return LimitVerdict(
        gauge=limit.gauge,
        limit=limit.text(),
        holds=holds,
        worst=worst,
        allowed=limit.allowed,
        unit=unit(limit, runs),
        source=limit.source,
    )


def unit(limit: Limit, runs: list[Capture]) -> str:
    """Return the unit of a limit's readings."""
    if limit.gauge in _SECONDS:
        return "s"
    known = gauges_of(runs)
    return known[limit.gauge].unit if limit.gauge in known else ""


def readings(limit: Limit, run: Capture, whole: bool = False) -> np.ndarray:
    """Return the readings of one run that a limit is about, shape (readings,)."""
    # A single one for a rate, a time, a fact or a last reading. With `whole`, all of them also
    # where the limit is on a quantile.
    lasted = {p.name: p.end_s - p.start_s for p in run.manifest.phases}
    times = {"exit_s": run.exit.exit_s, "cleanup_s": lasted.get("teardown")}
    facts: dict[str, float | None] = {**run.manifest.facts, **times}
    if limit.gauge in facts:
        return np.array([facts[limit.gauge]], dtype=float)  # None becomes NaN
    if limit.gauge not in run.trace:
        return np.empty(0)
    rows = run.trace[run.trace[limit.gauge].notna()]
    if limit.per_second is not None:
        steady = rows.loc[rows["phase"] == "steady", [limit.gauge, "t_s"]].to_numpy(dtype=float)
        if len(steady) < 2:
            return np.array([np.nan])
        rise, seconds = steady[-1] - steady[0]
        return np.array([rise / seconds])
    if limit.gauge in measures(run):
        rows = rows[(rows["phase"] == "steady") & (rows["moment"] == "step")]
    values = rows[limit.gauge].to_numpy(dtype=float)
    if limit.quantile is not None and len(values) and not whole:
        return np.array([np.quantile(values, limit.quantile)])
    return values[-1:] if limit.at_end is not None else values


def measures(run: Capture) -> set[str]:
    """Return the names of the gauges that are measured per step."""
    return {name for name, gauge in gauges_of([run]).items() if gauge.kind == "measure"}


def _worst(limit: Limit, values: np.ndarray) -> tuple[float, bool]:
    """Return the reading that comes closest to breaking a limit, and whether the limit holds."""
    if limit.at_least is not None:
        return float(values.min()), bool(values.min() >= limit.at_least)
    if limit.at_end is not None:
        worst = float(values[np.argmax(np.abs(values - limit.at_end))])
        return worst, worst == limit.at_end
    return float(values.max()), bool(values.max() <= limit.allowed)


def around(causes: list[str], exits: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the causes after a limit that ended the load, and before what was often printed."""
    reached = sorted(one["limit"] for one in exits if one.get("limit"))[:1]
    lines = [line for one in exits for line in one.get("printed", ())]
    return [
        *(f"a limit ended the load: {one}; what came before is judged" for one in reached),
        *causes,
        *{line.partition(": ")[2]: f"printed {line}" for line in lines}.values(),
    ]
