"""Growth in jumps, and evidence that growth has stopped."""

from __future__ import annotations

import numpy as np

from resleak.analysis import statistics
from resleak.analysis.series import Series
from resleak.analysis.statistics import Points
from resleak.workload.gauges import Gauge

#: Smallest jump / largest jump from which on jumps are of one size.
_EVEN = 0.8
#: A hash table doubles at most this often while it grows by a factor of eight.
_MAX_RESIZES = 3
#: Jumps are rises above this share of the largest; a series in jumps falls and creeps by less than
#: half as much.
_JUMP = 0.25
#: Rise over a run that a detection limit may hide: so many times what counts as a rise or comes of
#: the noise floor, or half as many times the range of the readings.
_MOST_HIDDEN = 8.0
#: A series in jumps has stopped after a rest of so many times the longest one before: a table that
#: grows to four times its size rests for three times the steps since the first one. Over time the
#: first rest began at an unknown time before the readings.
_RESTS, _RESTS_S = 3.0, 4.0
#: Readings at the ends of the last third whose medians are compared.
_ENDS = 3


def has_even_jumps(gauge: Gauge, series: Series) -> bool:
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


def has_few_jumps(gauge: Gauge, series: Series, floor: float) -> bool:
    """Return whether memory grows in a few jumps alone, as a resized hash table does."""
    if gauge.family not in ("memory", "objects"):
        return False
    steps = statistics.span(series.steady)
    jumps = [_jumps(points, _JUMP) for points in series.steady]
    return all(len(at) <= _MAX_RESIZES and rest.sum() <= floor * steps for at, _, rest in jumps)


def missing_rest(gauge: Gauge, series: Series) -> float:
    """Return for how long memory that grew in jumps must still rest; 0 where it need not."""
    if gauge.is_counted:
        return 0.0
    missing, is_timed = 0.0, series.per == "s"
    for points in series.steady:
        at, sizes, rest = _jumps(points, _JUMP)
        if not 0 < len(at) < len(points) / 4 or np.abs(rest).sum() > sizes.sum() / 2:
            continue  # it does not jump
        # What grows with the steps began to grow with the first one, before the readings.
        longest = np.diff([points[0, 0] if is_timed else 0.0, *at]).max()
        rests = _RESTS_S if is_timed else _RESTS
        missing = max(missing, rests * longest - (points[-1, 0] - at[-1]))
    return float(missing)


def _jumps(points: Points, share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the steps of rises above a share of the largest, their sizes, and the other rises."""
    rises = np.diff(points[:, 1])
    jumps = rises > max(share * rises.max(), 0.0)
    return points[1:, 0][jumps], rises[jumps], rises[~jumps]


def late_rise(series: Series) -> float:
    """Return the largest rise of a run above its first reading after the warm-up."""
    return float(max(points[:, 1].max() - points[0, 1] for points in series.steady))


def rise_at_end(series: Series) -> float:
    """Return the rise over the last third: what was seen, or what cannot be excluded."""
    thirds = [points[-max(statistics.FEWEST, len(points) // 3) :] for points in series.steady]
    ends = [(np.median(points[:_ENDS, 1]), np.median(points[-_ENDS:, 1])) for points in thirds]
    seen = float(np.median([last - first for first, last in ends]))
    # The rate of a series that grows in jumps is that of its rests.
    return max(seen, statistics.rate(thirds).high * statistics.span(thirds))


def hides_growth(gauge: Gauge, series: Series, limit: float) -> bool:
    """Return whether growth of memory that matters could be below a detection limit."""
    if gauge.is_counted or series.per == "s":  # they have rules of their own
        return False
    span = statistics.span(series.steady)
    reach = max(float(np.ptp(points[:, 1])) for points in series.steady)
    return not limit * span <= _MOST_HIDDEN * max(gauge.floor * span, gauge.rise, reach / 2)
