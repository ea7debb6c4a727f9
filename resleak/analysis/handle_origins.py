"""Origins of descriptors, threads and other resources, by the call stack that created them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.analysis.rows import Rows
from resleak.analysis.stacks import Profile, profile, sites
from resleak.analysis.stacks.allocation_sites import FRAME, WithLive, site_of
from resleak.captures.frames import Capture
from resleak.workload.verdict_words import SYMPTOMS

#: Kind of resource that a gauge counts, by its unit; empty for every kind of descriptor.
_KINDS = {
    "descriptors": "",
    "sockets": "socket",
    "threads": "thread",
    "processes": "process",
    "tasks": "task",
    "connections": "connection",
    "executors": "executor",
    "temporary files": "temporary",
    "segments": "segment",
}
#: Kinds that are not descriptors.
_OTHERS = set(_KINDS.values()) - {"", "socket"}
#: Units in which `as_allocations` and `growth` count.
UNITS = tuple(_KINDS)
#: Smallest share of the growth for a line to be named.
_MIN_SHARE = 0.1
_COLUMNS = [
    *("variant", "handle", "kind", "target", "deleted", *FRAME, "thread", "created_step"),
    *("created_phase", "closed_step", "closed_phase", "by_collection"),
]


def table(captures: Iterable[Capture]) -> pd.DataFrame:
    """List the resources that were created and not released at once, one row each.

    Columns: ``variant handle kind target deleted function file line thread created_step
    created_phase closed_step`` (NaN if open) ``closed_phase by_collection open age`` (in steps).
    """
    rows = [_listed(capture) for capture in captures if capture.instrument == "handles"]
    if rows:
        return pd.concat(rows, ignore_index=True)
    return pd.DataFrame(columns=[*_COLUMNS, "open", "age"])


def _listed(capture: Capture) -> pd.DataFrame:
    handles, stacks = capture.table("handles"), capture.table("stacks")
    where = stacks[FRAME].iloc[site_of(stacks)[handles["node"].to_numpy()]].reset_index(drop=True)
    listed = handles.join(where).assign(variant=capture.variant)[_COLUMNS]
    until = listed["closed_step"].fillna(capture.table("marks")["step"].max())
    return listed.assign(open=listed["closed_step"].isna(), age=until - listed["created_step"])


def _live(capture: Capture, unit: str) -> pd.DataFrame:
    """Return the resources of a unit as allocations; bytes count them."""
    handles = capture.table("handles")
    lasting = handles["first_mark"].ge(0) & handles["first_mark"].ne(handles["gone_mark"])
    handles = handles[_is(handles["kind"], unit) & lasting]
    closed = handles[handles["gone_mark"] >= 0]
    rows = [
        part[["node", "thread", mark]]
        .rename(columns={mark: "mark"})
        .assign(allocator=part["kind"], bytes=by, count=by)
        for part, mark, by in ((handles, "first_mark", 1), (closed, "gone_mark", -1))
    ]
    return pd.concat(rows).merge(capture.table("marks"), on="mark")


def as_allocations(captures: Iterable[Capture], unit: str = "descriptors") -> list[WithLive]:
    """Return captures with resources as allocations; filters take their kind for the allocator."""
    return [WithLive(c, partial(_live, c, unit)) for c in captures if c.instrument == "handles"]


def growth(captures: Iterable[Capture], unit: str = "descriptors") -> Profile:
    """Return the growth of one variant, for `resleak.figures.flamegraph` with the same `unit`."""
    return profile(as_allocations(captures, unit))


def waiting(captures: Iterable[Capture], unit: str = "descriptors") -> pd.DataFrame:
    """Rank the lines whose resources were closed only by the garbage collector."""
    parts = []
    for capture in captures:
        if capture.instrument == "handles":
            rows = _listed(capture)
            rows = rows[rows["created_phase"].eq("steady") & rows["by_collection"]]
            rows = rows.loc[_is(rows["kind"], unit), FRAME]
            parts.append(rows.assign(per_step=1.0 / capture.manifest.steps))
    joined = pd.concat(parts) if parts else pd.DataFrame(columns=[*FRAME, "per_step"])
    sums = joined.groupby(FRAME)[["per_step"]].sum() / max(len(parts), 1)
    ranked = sums.sort_values("per_step", ascending=False, kind="stable").reset_index()
    return ranked.assign(share=ranked["per_step"] / (ranked["per_step"].sum() or 1.0))


@dataclass(frozen=True)
class Origin:
    """A line that opened what leaks or is deferred; `file` is empty if no stack is known."""

    gauge: str
    function: str
    file: str
    line: int
    per_step: float
    share: float

    @property
    def place(self) -> str:
        """``FILE:LINE in FUNCTION``; empty if unknown."""
        return f"{self.file}:{self.line} in {self.function}" if self.file else ""


def origins(captures: Iterable[Capture], gauges: Iterable[GaugeVerdict]) -> Rows[Origin]:
    """Return the lines with a tenth or more of the growth of each gauge of resources."""
    followed, rows = [one for one in captures if one.instrument == "handles"], list[Origin]()
    for one in gauges if followed else ():
        if one.unit not in _KINDS or one.verdict not in SYMPTOMS:
            continue
        if one.verdict == "deferred":
            ranked = waiting(followed, one.unit)
        else:
            grown = sites(as_allocations(followed, one.unit))
            ranked = grown.rename(columns={"bytes_per_step": "per_step"})
        named = ranked.loc[ranked["share"] >= _MIN_SHARE, [*FRAME, "per_step", "share"]]
        rows += [Origin(one.gauge, *row) for row in named.itertuples(index=False, name=None)]
    return Rows(Origin, rows)


def leading(gauges: Iterable[GaugeVerdict]) -> str:
    """Return the unit of the first gauge of resources that leaks or is deferred, for `growth`."""
    units = (one.unit for one in gauges if one.verdict in SYMPTOMS and one.unit in UNITS)
    return next(units, UNITS[0])


def first_places(origins: Iterable[Origin]) -> dict[str, str]:
    """Return the first known place of each gauge, ``FILE:LINE in FUNCTION``."""
    return {one.gauge: one.place for one in reversed(list(origins)) if one.place}


def _is(kinds: pd.Series, unit: str) -> np.ndarray:
    kind = _KINDS[unit]
    return np.asarray(kinds.eq(kind) if kind else ~kinds.isin(_OTHERS), dtype=bool)
