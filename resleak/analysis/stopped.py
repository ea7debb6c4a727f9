"""Evidence that growth has stopped, and growth that may be hidden without it."""

from __future__ import annotations

import numpy as np

from resleak.analysis import jumps, statistics
from resleak.analysis.series import Series
from resleak.workload.gauges import Gauge

#: Rise over a run that a detection limit may hide: so many times what counts as a rise or comes of
#: the noise floor, or half as many times the range of the readings.
_MOST_HIDDEN = 8.0
#: A series in jumps has stopped after a rest of so many times the longest one before: a table that
#: grows to four times its size rests for three times the steps since the first one. Over time the
#: first rest began at an unknown time before the readings.
_RESTS, _RESTS_S = 3.0, 4.0
#: Readings at the ends of the last third whose medians are compared.
_ENDS = 3


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


def missing_rest(gauge: Gauge, series: Series) -> float:
    """Return for how long memory that grew in jumps must still rest; 0 where it need not."""
    if gauge.is_counted:
        return 0.0
    if series.per == "s":
        return jumps.missing_rest(series.steady, _RESTS_S)
    # What grows with the steps began to grow with the first one, before the readings.
    return jumps.missing_rest(series.steady, _RESTS, begin=0.0)


def jumping_rate(gauge: Gauge, series: Series) -> float:
    """Return the rate that growth in jumps may have, as far as they have not stopped; else 0."""
    # A table that doubles has room for twice what filled it.
    rests = missing_rest(gauge, series) == 0
    return 0.0 if rests else 2 * late_rise(series) / statistics.span(series.steady)


def hides_growth(gauge: Gauge, series: Series, limit: float) -> bool:
    """Return whether growth of memory that matters could be below a detection limit."""
    if gauge.is_counted or series.per == "s":  # they have rules of their own
        return False
    reach = max(float(np.ptp(points[:, 1])) for points in series.steady)
    hidden = limit * statistics.span(series.steady)
    matters = max(gauge.floor * statistics.span(series.steady), gauge.rise, reach / 2)
    return not hidden <= _MOST_HIDDEN * matters
