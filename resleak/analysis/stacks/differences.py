"""Two profiles over the same frames: what is new, what is gone, what grew or shrank."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from resleak.analysis.stacks.allocation_sites import FRAME, site_of
from resleak.analysis.stacks.matching import Matching
from resleak.analysis.stacks.profiles import Profile
from resleak.errors import StoreError

_RESULT = [
    *("state", "before_bytes_per_step", "after_bytes_per_step", "change", "low", "high"),
    *("before_count_per_step", "after_count_per_step"),
]
_CONFIDENCE = 0.95


def joined(before: Profile, after: Profile) -> tuple[Profile, Profile]:
    """Put two profiles over the same frames.

    Frames are joined from the root down, by function, file and line. Code that only moved is
    joined too: what has no partner of the same line is paired with a frame of the same function
    and file below the same frame, between the same lines that stayed; in the order of their lines
    if there are as many on both sides, else the nearest first, and not at all if it is a draw.

    Parameters
    ----------
    before, after : Profile
        Of the same kind: both by step, or both by second.

    Returns
    -------
    before, after : Profile
        With equal ``frames``, whose lines are those of `after` wherever there is one; the edges
        and changes are each profile's own.

    Raises
    ------
    StoreError
        If one counts by step and the other by second, or nothing is known of one.
    """
    if not before.captures or not after.captures:
        told = "has no stacks of two steady marks: capture it under the memory profiler"
        raise StoreError(f"the one {'after' if before.captures else 'before'} {told}")
    if before.per != after.per:
        told = f"one counts by {before.per}, the other by {after.per}: capture both the same way"
        raise StoreError(f"these two cannot be compared: {told}")
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
        ``after_bytes_per_step``, ``change``, ``low``, ``high`` (where the change lies, in bytes
        per step, as far as the windows tell), ``before_count_per_step`` and
        ``after_count_per_step``; per second if the profiles are. The largest change first.
        ``state`` is ``new`` or ``gone`` if memory of the site changed on one side only, ``same``
        if `low` to `high` holds zero, else ``grew`` or ``shrank``.

    Notes
    -----
    The interval is Welch's, at 95 %, over the windows of both. A cache that churns has windows that
    contradict each other, so its change is told from none only if it is large.

    References
    ----------
    Welch: The generalization of "Student's" problem when several different population variances
    are involved (1947).
    """
    sides = [_Side(profile) for profile in joined(before, after)]
    index = sides[0].whole.index.union(sides[1].whole.index)
    old, new = (side.whole.reindex(index) for side in sides)
    table = old.fillna(0.0).add_prefix("before_").join(new.fillna(0.0).add_prefix("after_"))
    change = table["after_bytes_per_step"] - table["before_bytes_per_step"]
    reach = _reach(*(side.windows(index) for side in sides))
    table = table.assign(change=change, low=change - reach, high=change + reach)
    table["state"] = _states(table)
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


def _reach(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return half of Welch's interval for the difference of two means, for one row a site."""
    counts = np.array([[old.shape[1]], [new.shape[1]]])
    if counts.min() < 2:
        return np.full(len(old), np.nan)
    parts = np.array([side.var(axis=1, ddof=1) for side in (old, new)]) / counts
    spread = parts.sum(axis=0)
    with np.errstate(invalid="ignore"):  # neither side varies: the change is known
        freedom = np.nan_to_num(spread**2 / (parts**2 / (counts - 1)).sum(axis=0), nan=1.0)
    reach: np.ndarray = stdtrit(freedom, (1 + _CONFIDENCE) / 2) * np.sqrt(spread)
    return reach


def _states(table: pd.DataFrame) -> np.ndarray:
    """Tell growing from shrinking; without windows to judge by, as the change says."""
    known = table["low"].notna()
    rounding = 1e-9 * table[["before_bytes_per_step", "after_bytes_per_step"]].abs().max(axis=1)
    grew = np.where(known, table["low"], table["change"]) > rounding
    shrank = np.where(known, table["high"], table["change"]) < -rounding
    return np.select([grew, shrank], ["grew", "shrank"], "same")
