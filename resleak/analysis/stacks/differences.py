"""Differences of two profiles over the same frames: new, gone, grown and shrunk sites."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from resleak.analysis.stacks.allocation_sites import FRAME, site_of
from resleak.analysis.stacks.matching import Matching
from resleak.analysis.stacks.profiles import Profile
from resleak.analysis.statistics import welch_half_widths
from resleak.errors import StoreError

_RESULT = [
    *("state", "before_bytes_per_step", "after_bytes_per_step", "change", "low", "high"),
    *("before_count_per_step", "after_count_per_step"),
]


def joined(before: Profile, after: Profile) -> tuple[Profile, Profile]:
    """Return two profiles over the same frames.

    Frames are joined from the root down, by function, file and line. Code that only moved is joined
    too: a frame without a partner of the same line is paired with one of the same function and file
    below the same frame, between the same unmoved lines; in the order of their lines if there are
    as many on both sides, else the nearest first.

    Parameters
    ----------
    before, after : Profile
        Of the same kind: both by step, or both by second.

    Returns
    -------
    before, after : Profile
        With equal ``frames``, whose lines are those of `after` wherever there is one.

    Raises
    ------
    StoreError
        If one counts by step and the other by second, or nothing is known of one.
    """
    if not before.captures or not after.captures:
        message = "has no stacks of two steady marks: capture it under the memory profiler"
        raise StoreError(f"the one {'after' if before.captures else 'before'} {message}")
    if before.per != after.per:
        units = f"one counts by {before.per}, the other by {after.per}: capture both the same way"
        raise StoreError(f"these two cannot be compared: {units}")
    matching = Matching(before.frames, after.frames)
    pairs = list(matching.pairs())
    frames = matching.frames(pairs)
    old, new = ([pair[side] for pair in pairs] for side in (0, 1))
    return _moved(before, frames, old), _moved(after, frames, new)


def difference(before: Profile, after: Profile) -> pd.DataFrame:
    """Compare the sites of two profiles, of any lengths, for each step.

    Parameters
    ----------
    before, after : Profile
        As for `joined`.

    Returns
    -------
    DataFrame
        Columns ``function``, ``file``, ``line``, ``state``, ``before_bytes_per_step``,
        ``after_bytes_per_step``, ``change``, ``low``, ``high`` (its 95 % CI),
        ``before_count_per_step`` and ``after_count_per_step``; per second if the profiles are. The
        largest change first. ``state`` is ``new`` or ``gone`` if memory of the site changed on one
        side only, ``same`` if the CI includes zero, else ``grew`` or ``shrank``.

    Notes
    -----
    The CI is Welch's over the windows of both. A cache that churns has contradicting windows, so
    its change is significant only if it is large.
    """
    sides = [_Side(profile) for profile in joined(before, after)]
    index = sides[0].whole.index.union(sides[1].whole.index)
    old, new = (side.whole.reindex(index) for side in sides)
    table = old.fillna(0.0).add_prefix("before_").join(new.fillna(0.0).add_prefix("after_"))
    change = table["after_bytes_per_step"] - table["before_bytes_per_step"]
    reach = welch_half_widths(*(side.windows(index) for side in sides))
    table = table.assign(change=change, low=change - reach, high=change + reach)
    known = table["low"].notna()  # else the change alone decides
    rounding = 1e-9 * table[["before_bytes_per_step", "after_bytes_per_step"]].abs().max(axis=1)
    grew = np.where(known, table["low"], table["change"]) > rounding
    shrank = np.where(known, table["high"], table["change"]) < -rounding
    table["state"] = np.select([grew, shrank], ["grew", "shrank"], "same")
    table.loc[old["count_per_step"].isna(), "state"] = "new"
    table.loc[new["count_per_step"].isna(), "state"] = "gone"
    largest = change.abs().sort_values(ascending=False, kind="stable").index
    ordered: pd.DataFrame = table.loc[largest, _RESULT].reset_index()
    return ordered


def _moved(profile: Profile, frames: pd.DataFrame, nodes: list[int]) -> Profile:
    """Return a profile over other frames, given which of its nodes each of them is."""
    old = np.array(nodes, dtype=np.int64)
    place = np.empty(len(profile.frames), dtype=np.int64)
    place[old[old >= 0]] = np.flatnonzero(old >= 0)
    changes = profile.changes.assign(node=place[profile.changes["node"].to_numpy()])
    return replace(profile, frames=frames, changes=changes)


class _Side:
    """One profile by site."""

    def __init__(self, profile: Profile) -> None:
        self._steps = np.diff(profile.edges.astype(float))
        site = site_of(profile.frames)[profile.changes["node"].to_numpy()]
        sites = profile.frames[FRAME].iloc[site]
        self._changes = profile.changes.reset_index(drop=True).join(sites.reset_index(drop=True))
        whole = self._changes.groupby(FRAME)[["bytes", "count"]].sum() / self._steps.sum()
        self.whole = whole.add_suffix("_per_step")

    def windows(self, index: pd.Index) -> np.ndarray:
        """Return bytes per step, shape (sites, windows)."""
        cells = self._changes.groupby([*FRAME, "window"])["bytes"].sum().unstack("window")
        whole = cells.reindex(index=index, columns=range(len(self._steps))).fillna(0.0)
        return whole.to_numpy(dtype=float) / self._steps
