"""Growth in jumps: of one size, as resized tables make it, and the rest after the last one."""

from __future__ import annotations

import numpy as np

from resleak.analysis.series import Series
from resleak.analysis.statistics import Points, Runs, span
from resleak.workload.gauges import Gauge

#: Smallest jump / largest jump from which on jumps are of one size.
_EVEN = 0.8
#: A hash table doubles at most this often while it grows by a factor of eight.
_MAX_RESIZES = 3
#: Jumps are rises above this share of the largest; a series in jumps falls and creeps by less than
#: half as much.
_JUMP = 0.25


def are_even(gauge: Gauge, series: Series) -> bool:
    """Return whether each run rests except for jumps of one size, over its whole length."""
    if gauge.family == "resident":  # it jumps whenever the allocator asks for more
        return False
    min_rise = max(gauge.rise, 2.0)
    for points in series.steady:
        at, sizes, rest = _jumps(points, 0.5)
        if not 2 <= len(at) <= len(points) / 4 or sizes.sum() < min_rise:
            return False
        # A growing hash table jumps too, but by more each time and ever more seldom.
        is_even = sizes.min() > _EVEN * sizes.max()
        rests = np.abs(rest).sum() < (1 - _EVEN) * sizes.sum()
        longest = np.diff(at).max() / _EVEN
        lasts = at[0] - points[0, 0] <= longest and points[-1, 0] - at[-1] <= longest
        if not (is_even and rests and lasts):
            return False
    return True


def are_few(gauge: Gauge, series: Series, floor: float) -> bool:
    """Return whether memory grows in a few jumps alone, as a resized hash table does."""
    if gauge.family not in ("memory", "objects"):
        return False
    steps = span(series.steady)
    jumps = [_jumps(points, _JUMP) for points in series.steady]
    return all(len(at) <= _MAX_RESIZES and rest.sum() <= floor * steps for at, _, rest in jumps)


def missing_rest(runs: Runs, rests: float, begin: float | None = None) -> float:
    """Return how much of a rest after the last jump is missing; 0 for a series without jumps.

    It is to last for `rests` times the longest rest before. `begin` is where the first one began,
    if that was before the first reading.
    """
    missing = 0.0
    for points in runs:
        at, sizes, rest = _jumps(points, _JUMP)
        if not 0 < len(at) < len(points) / 4 or np.abs(rest).sum() > sizes.sum() / 2:
            continue  # it does not jump
        longest = np.diff([points[0, 0] if begin is None else begin, *at]).max()
        missing = max(missing, rests * longest - (points[-1, 0] - at[-1]))
    return float(missing)


def _jumps(points: Points, share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the steps of rises above a share of the largest, their sizes, and the other rises."""
    rises = np.diff(points[:, 1])
    jumps = rises > max(share * rises.max(), 0.0)
    return points[1:, 0][jumps], rises[jumps], rises[~jumps]
