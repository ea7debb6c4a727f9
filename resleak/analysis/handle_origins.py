"""Who opened it: descriptors, threads and the like that a run created, by the stack that did."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from resleak.analysis.stacks import Profile, profile, sites
from resleak.analysis.stacks.allocation_sites import FRAME, site_of
from resleak.captures.frames import Capture

#: What is no descriptor.
_OTHERS = ("thread", "process", "task", "connection", "executor", "temporary")
#: By the unit of a gauge: which kinds of handles it counts, and what they are called.
_KINDS = {
    "descriptors": None,
    "sockets": ("socket",),
    "threads": ("thread",),
    "processes": ("process",),
    "tasks": ("task",),
    "connections": ("connection",),
    "executors": ("executor",),
    "temporary files": ("temporary",),
}
#: Units of handles, in which `held` and `growth` count.
UNITS = tuple(_KINDS)
#: A line that opened less of what grew is not worth naming beside the others.
_LEAST_SHARE = 0.1
_COLUMNS = [
    *("handle", "kind", "target", "deleted", *FRAME, "thread", "created_step", "created_phase"),
    *("closed_step", "closed_phase", "by_collection"),
]


def table(captures: Iterable[Capture]) -> pd.DataFrame:
    """List what was created and not given back at once.

    Parameters
    ----------
    captures : iterable of Capture
        Those that do not follow handles are passed over.

    Returns
    -------
    DataFrame
        One row a handle: ``variant``, ``handle``, ``kind``, ``target``, ``deleted``, the site's
        ``function``, ``file`` and ``line`` (see `resleak.sites`), ``thread``,
        ``created_step``, ``created_phase``, ``closed_step`` (NaN if it stayed), ``closed_phase``,
        ``by_collection`` (whether it was the garbage collector that closed it), ``open`` (at the
        last look) and ``age`` in steps.
    """
    rows = [_listed(c).assign(variant=c.variant) for c in captures if c.instrument == "handles"]
    if not rows:
        return pd.DataFrame(columns=["variant", *_COLUMNS, "open", "age"])
    joined = pd.concat(rows, ignore_index=True)
    return joined[["variant", *[c for c in joined.columns if c != "variant"]]]


def _listed(capture: Capture) -> pd.DataFrame:
    handles, stacks = capture.table("handles"), capture.table("stacks")
    site = site_of(stacks)[handles["node"].to_numpy()]
    where = stacks[FRAME].iloc[site].reset_index(drop=True)
    last = capture.table("marks")["step"].max()
    listed = handles.join(where)[_COLUMNS]
    until = listed["closed_step"].fillna(last)
    return listed.assign(open=listed["closed_step"].isna(), age=until - listed["created_step"])


@dataclass(frozen=True)
class Held:
    """The handles of one capture as changes of what is live, for all that reads stacks.

    Attributes
    ----------
    capture : Capture
        One that follows handles.
    unit : str
        Which of them: one of `UNITS`.
    """

    capture: Capture
    unit: str

    @property
    def instrument(self) -> str:
        """``memray``: what `profile`, `sites` and filters take for a capture with stacks."""
        return "memray"

    @property
    def per(self) -> str:
        """What the capture's steps are."""
        return self.capture.per

    def table(self, name: str) -> pd.DataFrame:
        """Return a table: ``stacks``, ``marks``, or ``live``, in which bytes count handles."""
        return self._live if name == "live" else self.capture.table(name)

    @cached_property
    def _live(self) -> pd.DataFrame:
        handles = self.capture.table("handles")
        lasting = handles["first_mark"].ge(0) & handles["first_mark"].ne(handles["gone_mark"])
        handles = handles[_is(handles["kind"], self.unit) & lasting]
        left = handles[handles["gone_mark"] >= 0]
        changes = [
            (handles, "first_mark", 1),
            (left, "gone_mark", -1),
        ]
        rows = [_changes(part, part[mark], by) for part, mark, by in changes]
        return pd.concat(rows).merge(self.capture.table("marks"), on="mark")


def _changes(handles: pd.DataFrame, marks: pd.Series, by: int) -> pd.DataFrame:
    rows = handles[["node", "thread", "kind"]].rename(columns={"kind": "allocator"})
    return rows.assign(mark=marks, bytes=by, count=by)


def held(captures: Iterable[Capture], unit: str = "descriptors") -> list[Held]:
    """Return the handles of captures in the form in which stacks are read.

    Parameters
    ----------
    captures : iterable of Capture
        Those that do not follow handles are passed over.
    unit : str
        One of `UNITS`.

    Returns
    -------
    list of Held
        For `resleak.profile`, `sites`, `only` and `difference`, where bytes count handles
        and filters take their kind for the allocator.
    """
    return [Held(capture, unit) for capture in captures if capture.instrument == "handles"]


def growth(captures: Iterable[Capture], unit: str = "descriptors") -> Profile:
    """Return what grew, for `resleak.figures.flamegraph` with the same `unit`.

    Parameters
    ----------
    captures : iterable of Capture
        Replicates of one variant.
    unit : str
        One of `UNITS`.

    Returns
    -------
    Profile
    """
    return profile(held(captures, unit))


def waiting(captures: Iterable[Capture], unit: str = "descriptors") -> pd.DataFrame:
    """Rank the lines whose handles waited for the garbage collector.

    Parameters
    ----------
    captures : iterable of Capture
        Replicates of one variant.
    unit : str
        One of `UNITS`.

    Returns
    -------
    DataFrame
        ``function``, ``file``, ``line``, ``per_step`` (created in the steady part, and closed by a
        collection) and ``share``.
    """
    found = [_waited(capture, unit) for capture in captures if capture.instrument == "handles"]
    rows = pd.concat(found) if found else pd.DataFrame(columns=[*FRAME, "per_step"])
    sums = rows.groupby(FRAME)[["per_step"]].sum() / max(len(found), 1)
    ranked = sums.sort_values("per_step", ascending=False, kind="stable").reset_index()
    return ranked.assign(share=ranked["per_step"] / (ranked["per_step"].sum() or 1.0))


def _waited(capture: Capture, unit: str) -> pd.DataFrame:
    listed = _listed(capture)
    steady = listed["created_phase"].eq("steady") & listed["by_collection"]
    rows = listed[steady & _is(listed["kind"], unit)]
    return rows[FRAME].assign(per_step=1.0 / capture.manifest.steps)


def origins(captures: Iterable[Capture], gauges: pd.DataFrame) -> pd.DataFrame:
    """Name the line that opened what leaks, or what waits for the collector.

    Parameters
    ----------
    captures : iterable of Capture
        Replicates of one variant.
    gauges : DataFrame
        What was judged of its gauges: ``gauge``, ``unit``, ``verdict``.

    Returns
    -------
    DataFrame
        For each gauge that counts handles and leaks or is deferred, the lines that opened a tenth
        or more of what grew or waited: ``gauge``, ``function``, ``file``, ``line``, ``per_step``,
        ``share``, the largest first. Where no stack is known, ``file`` is empty.
    """
    followed = [capture for capture in captures if capture.instrument == "handles"]
    found = [
        _ranked(followed, row).assign(gauge=row["gauge"])
        for row in gauges.to_dict(orient="records")
        if followed and row["unit"] in _KINDS and row["verdict"] in ("leak", "deferred")
    ]
    columns = ["gauge", *FRAME, "per_step", "share"]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def leading(gauges: pd.DataFrame) -> str:
    """Return the unit of the first gauge that counts handles and leaks or waits, for `growth`.

    Parameters
    ----------
    gauges : DataFrame
        What was judged of one variant's gauges: ``unit``, ``verdict``.
    """
    wrong = gauges["verdict"].isin(["leak", "deferred"]) & gauges["unit"].isin(UNITS)
    return str(next(iter(gauges.loc[wrong, "unit"]), UNITS[0]))


def named(origins: pd.DataFrame) -> dict[str, str]:
    """Return the first line of each gauge in words: ``FILE:LINE in FUNCTION``, if it is known."""
    known = origins[origins["file"] != ""].drop_duplicates("gauge")
    return {
        str(row["gauge"]): f"{row['file']}:{row['line']} in {row['function']}"
        for row in known.to_dict(orient="records")
    }


def _ranked(captures: list[Capture], row: Mapping[Hashable, object]) -> pd.DataFrame:
    unit = str(row["unit"])
    if row["verdict"] == "deferred":
        ranked = waiting(captures, unit)
    else:
        ranked = sites(held(captures, unit)).rename(columns={"bytes_per_step": "per_step"})
    return ranked[ranked["share"] >= _LEAST_SHARE]


def _is(kinds: pd.Series, unit: str) -> np.ndarray:
    wanted = _KINDS[unit]
    chosen = ~kinds.isin(_OTHERS) if wanted is None else kinds.isin(wanted)
    mask: np.ndarray = chosen.to_numpy(dtype=bool)
    return mask
