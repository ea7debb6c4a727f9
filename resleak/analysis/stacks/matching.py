"""Match the frames of two profiles, also where lines of code have moved."""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from resleak.analysis.stacks.allocation_sites import FRAME

_COLUMNS = [*("node", "parent"), *FRAME, "studied", "depth"]
_Key = tuple[str, str, int]
_Code = tuple[str, str]
#: Instead of a node: there is none on that side.
NONE = -1
#: Most pairs of lines of one function that are compared.
_MOST = 10_000


@dataclass
class Matching:
    """The frames of two profiles, matched from the root down."""

    before: pd.DataFrame
    after: pd.DataFrame
    _keys: tuple[list[_Key], ...] = field(init=False)
    _below: tuple[dict[int, list[int]], ...] = field(init=False)

    def __post_init__(self) -> None:
        sides = (self.before, self.after)
        self._keys = tuple(
            [*zip(*(s[name].tolist() for name in FRAME), strict=True)] for s in sides
        )
        self._below = (defaultdict(list), defaultdict(list))
        for below, side in zip(self._below, sides, strict=True):
            for node, parent in enumerate(side["parent"].tolist()):
                below[parent].append(node)

    def pairs(self) -> Iterator[tuple[int, int, int]]:
        """Yield both sides' nodes of each joined frame, in pre-order, and its parent's place."""
        todo = [(old, new, NONE) for old, new in self._matched(NONE, NONE)][::-1]
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
        """Return the lines of `after`, also for removed frames whose code is known there."""
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
        """Pair the children of two frames; without a partner, all its children have none."""
        olds = self._below[0].get(old, []) if old >= 0 or new < 0 else []
        news = self._below[1].get(new, []) if new >= 0 or old < 0 else []
        partner = self._partners(olds, news)
        alone = set(olds) - set(partner.values())
        return [(partner.get(n, NONE), n) for n in news] + [(o, NONE) for o in olds if o in alone]

    def _partners(self, olds: list[int], news: list[int]) -> dict[int, int]:
        """Return the `before` node of each `after` node that has one."""
        old_keys, new_keys = self._keys
        same = {old_keys[node]: node for node in olds}
        partner = {n: same[new_keys[n]] for n in news if new_keys[n] in same}
        stays = _lines(new_keys[node] for node in partner)
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


def _lines(keys: Iterable[_Key]) -> dict[_Code, list[int]]:
    """Return, for each function and file, its lines in order."""
    lines: dict[_Code, list[int]] = defaultdict(list)
    for function, file, line in keys:
        lines[function, file].append(line)
    return {code: sorted(each) for code, each in lines.items()}


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
