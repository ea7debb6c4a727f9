"""Differences of two profiles over the same frames: new, gone, grown and shrunk sites."""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from resleak.analysis.stacks.allocation_sites import FRAME, site_of
from resleak.analysis.stacks.columns import rows
from resleak.analysis.stacks.profiles import Profile
from resleak.analysis.statistics import welch_half_widths
from resleak.errors import StoreError

_RESULT = [
    *("state", "before_bytes_per_step", "after_bytes_per_step", "change", "low", "high"),
    *("before_count_per_step", "after_count_per_step"),
]
_COLUMNS = ["node", "parent", *FRAME, "studied", "depth"]
_Key = tuple[str, str, int]
_Code = tuple[str, str]
#: Instead of a node: there is none on that side.
_NONE = -1
#: Most pairs of lines of one function that are compared.
_MOST = 10_000


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
    frames, old, new = _Matching(before.frames, after.frames).joined()
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
    is_new, is_gone = (side["count_per_step"].isna() for side in (old, new))
    states = ["gone", "new", "grew", "shrank"]
    table["state"] = np.select([is_gone, is_new, grew, shrank], states, "same")
    largest = change.abs().sort_values(ascending=False, kind="stable").index
    ordered: pd.DataFrame = table.loc[largest, _RESULT].reset_index()
    return ordered


def _moved(profile: Profile, frames: pd.DataFrame, nodes: np.ndarray) -> Profile:
    """Return a profile over other frames, given which of its nodes each of them is."""
    place = np.empty(len(profile.frames), dtype=np.int64)
    place[nodes[nodes >= 0]] = np.flatnonzero(nodes >= 0)
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


class _Matching:
    """The frames of two profiles, matched from the root down."""

    def __init__(self, before: pd.DataFrame, after: pd.DataFrame) -> None:
        self._frames = (before, after)
        self._keys: list[list[_Key]] = []
        self._below: list[dict[int, list[int]]] = []
        for side in self._frames:
            self._keys.append(rows(side, FRAME))
            self._below.append(defaultdict(list))
            for node, parent in enumerate(side["parent"].tolist()):
                self._below[-1][parent].append(node)

    def joined(self) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
        """Return the joined frames, and of each the nodes of both sides."""
        (before, after), (old_keys, new_keys) = self._frames, self._keys
        pairs = list(self._pairs())
        lines: dict[_Key, set[int]] = defaultdict(set)
        for old, new, _ in pairs:
            if old >= 0 and new >= 0:
                lines[old_keys[old]].add(new_keys[new][2])
        # The line of `after`, also for a removed frame whose code is known there.
        now = {key: places.pop() for key, places in lines.items() if len(places) == 1}
        line = [
            new_keys[new][2] if new >= 0 else now.get(old_keys[old], old_keys[old][2])
            for old, new, _ in pairs
        ]
        olds, news, parents = np.array(pairs, dtype=np.int64).reshape(-1, 3).T
        both = pd.concat([after, before], ignore_index=True)
        frames = both.iloc[np.where(news >= 0, news, len(after) + olds)].reset_index(drop=True)
        frames = frames.assign(node=np.arange(len(frames)), parent=parents, line=line)
        return frames[_COLUMNS], olds, news

    def _pairs(self) -> Iterator[tuple[int, int, int]]:
        """Yield both sides' nodes of each joined frame, in pre-order, and its parent's place."""
        todo = [(old, new, _NONE) for old, new in self._matched(_NONE, _NONE)][::-1]
        place = 0
        while todo:
            old, new, parent = todo.pop()
            yield old, new, parent
            todo += [(*below, place) for below in self._matched(old, new)][::-1]
            place += 1

    def _matched(self, old: int, new: int) -> list[tuple[int, int]]:
        """Pair the children of two frames; without a partner, all its children have none."""
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
        stays: dict[_Code, list[int]] = defaultdict(list)
        for function, file, line in sorted(new_keys[node] for node in partner):
            stays[function, file].append(line)
        partners = set(partner.values())
        left = _by_code(old_keys, stays, (node for node in olds if node not in partners))
        free = _by_code(new_keys, stays, (node for node in news if node not in partner))
        for code, new_by_line in free.items():
            old_by_line = left.get(code, {})
            old_lines, new_lines = sorted(old_by_line), sorted(new_by_line)
            lines: Iterable[tuple[int, int]] = _nearest(old_lines, new_lines)
            if len(old_lines) == len(new_lines):
                lines = zip(old_lines, new_lines, strict=True)
            partner |= {new_by_line[new]: old_by_line[old] for old, new in lines}
        return partner


def _by_code(
    keys: list[_Key], stays: dict[_Code, list[int]], nodes: Iterable[int]
) -> dict[tuple[_Code, int], dict[int, int]]:
    """Return nodes by line, for each part of a function between two unmoved lines."""
    parts: dict[tuple[_Code, int], dict[int, int]] = defaultdict(dict)
    for node in nodes:
        function, file, line = keys[node]
        part = bisect(stays.get((function, file), []), line)
        parts[(function, file), part][line] = node
    return parts


def _nearest(olds: list[int], news: list[int]) -> Iterator[tuple[int, int]]:
    """Yield the nearest pair of lines, then those before and after it, if it is unique."""
    if not 0 < len(olds) * len(news) <= _MOST:
        return
    near = min(abs(old - new) for old in olds for new in news)
    best = [(old, new) for old in olds for new in news if abs(old - new) == near]
    clear = [p for p in best if sum(p[0] == q[0] or p[1] == q[1] for q in best) == 1]
    for at, to in clear[:1]:
        yield at, to
        yield from _nearest([o for o in olds if o < at], [n for n in news if n < to])
        yield from _nearest([o for o in olds if o > at], [n for n in news if n > to])
