"""Two profiles over the same frames: what is new, what is gone, what grew or shrank."""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from resleak.errors import StoreError
from resleak.stacks.growth import FRAME, site_of
from resleak.stacks.windows import Profile

_COLUMNS = [*("node", "parent"), *FRAME, "studied", "depth"]
_RESULT = [
    *("state", "before_bytes_per_step", "after_bytes_per_step", "change", "low", "high"),
    *("before_count_per_step", "after_count_per_step"),
]
_CONFIDENCE = 0.95
_Key = tuple[str, str, int]
_Code = tuple[str, str]
#: A node of one side, or that there is none there.
_NONE = -1
#: So many pairs of lines of one function are looked at, and no more.
_MOST = 10_000


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
        If one counts by step and the other by second.
    """
    if before.per != after.per:
        told = f"one counts by {before.per}, the other by {after.per}: capture both the same way"
        raise StoreError(f"these two cannot be compared: {told}")
    places = _Places(before.frames, after.frames)
    pairs = list(places.pairs())
    frames = places.frames(pairs)
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


@dataclass
class _Places:
    """Both sides' frames, and which belong together."""

    before: pd.DataFrame
    after: pd.DataFrame
    _keys: tuple[list[_Key], ...] = field(init=False)
    _below: tuple[dict[int, list[int]], ...] = field(init=False)

    def __post_init__(self) -> None:
        sides = (self.before, self.after)
        self._keys = tuple(
            [*zip(*(s[name].tolist() for name in FRAME), strict=True)] for s in sides
        )
        self._below = tuple(_children(side["parent"].tolist()) for side in sides)

    def pairs(self) -> Iterator[tuple[int, int, int]]:
        """Yield both sides' nodes of each joined frame, in pre-order, and its parent's place."""
        todo = [(old, new, _NONE) for old, new in self._matched(_NONE, _NONE)][::-1]
        place = 0
        while todo:
            old, new, parent = todo.pop()
            yield old, new, parent
            todo += [(*below, place) for below in self._matched(old, new)][::-1]
            place += 1

    def frames(self, pairs: list[tuple[int, int, int]]) -> pd.DataFrame:
        """Return the joined frames."""
        old, new, parents = np.array(pairs, dtype=np.int64).reshape(-1, 3).T
        both = pd.concat([self.after, self.before], ignore_index=True)
        frames = both.iloc[np.where(new >= 0, new, len(self.after) + old)].reset_index(drop=True)
        lines = self._lines(pairs)
        return frames.assign(node=np.arange(len(frames)), parent=parents, line=lines)[_COLUMNS]

    def _lines(self, pairs: list[tuple[int, int, int]]) -> list[int]:
        """Return the lines to show: `after`'s, also of what is gone, if its code is known there."""
        old_keys, new_keys = self._keys
        moved: dict[_Key, set[int]] = defaultdict(set)
        for old, new, _ in pairs:
            if old >= 0 and new >= 0:
                moved[old_keys[old]].add(new_keys[new][2])
        now = {key: lines.pop() for key, lines in moved.items() if len(lines) == 1}
        return [
            new_keys[new][2] if new >= 0 else now.get(old_keys[old], old_keys[old][2])
            for old, new, _ in pairs
        ]

    def _matched(self, old: int, new: int) -> list[tuple[int, int]]:
        """Pair what lies below two frames; below one that is alone, everything is alone."""
        olds = self._below[0].get(old, []) if old >= 0 or new < 0 else []
        news = self._below[1].get(new, []) if new >= 0 or old < 0 else []
        partner = self._partners(olds, news)
        alone = set(olds) - set(partner.values())
        return [(partner.get(n, _NONE), n) for n in news] + [(o, _NONE) for o in olds if o in alone]

    def _partners(self, olds: list[int], news: list[int]) -> dict[int, int]:
        """Return the `before` node of each `after` node that has one."""
        old_keys, new_keys = self._keys
        same = {old_keys[node]: node for node in olds}
        partner = {n: same[new_keys[n]] for n in news if new_keys[n] in same}
        stays = _lines(new_keys[node] for node in partner)
        taken = set(partner.values())
        left = _by_code(old_keys, stays, (node for node in olds if node not in taken))
        free = _by_code(new_keys, stays, (node for node in news if node not in partner))
        for code in free:
            partner |= _moved_lines(left.get(code, {}), free[code])
        return partner


def _children(parents: list[int]) -> dict[int, list[int]]:
    below: dict[int, list[int]] = defaultdict(list)
    for node, parent in enumerate(parents):
        below[parent].append(node)
    return below


def _lines(keys: Iterable[_Key]) -> dict[_Code, list[int]]:
    """Return, for each function and file, its lines in order."""
    found: dict[_Code, list[int]] = defaultdict(list)
    for function, file, line in keys:
        found[function, file].append(line)
    return {code: sorted(lines) for code, lines in found.items()}


def _by_code(
    keys: list[_Key], stays: dict[_Code, list[int]], nodes: Iterable[int]
) -> dict[tuple[_Code, int], dict[int, int]]:
    """Return nodes by line, for each part of a function between two lines that stay."""
    found: dict[tuple[_Code, int], dict[int, int]] = defaultdict(dict)
    for node in nodes:
        function, file, line = keys[node]
        part = bisect(stays.get((function, file), []), line)
        found[(function, file), part][line] = node
    return found


def _moved_lines(olds: dict[int, int], news: dict[int, int]) -> dict[int, int]:
    """Pair lines of one function that have no partner of the same number."""
    old_lines, new_lines = sorted(olds), sorted(news)
    lines: Iterable[tuple[int, int]] = _nearest(old_lines, new_lines)
    if len(old_lines) == len(new_lines):
        lines = zip(old_lines, new_lines, strict=True)
    return {news[new]: olds[old] for old, new in lines}


def _nearest(olds: list[int], news: list[int]) -> Iterator[tuple[int, int]]:
    """Yield the nearest pair of lines, then those before it and after it, but never a draw."""
    if not 0 < len(olds) * len(news) <= _MOST:
        return
    near = min(abs(old - new) for old in olds for new in news)
    best = [(old, new) for old in olds for new in news if abs(old - new) == near]
    clear = [p for p in best if sum(p[0] == q[0] or p[1] == q[1] for q in best) == 1]
    for at, to in clear[:1]:
        yield at, to
        yield from _nearest([o for o in olds if o < at], [n for n in news if n < to])
        yield from _nearest([o for o in olds if o > at], [n for n in news if n > to])


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
        sites = site_of(profile.frames).iloc[profile.changes["node"].to_numpy()]
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
