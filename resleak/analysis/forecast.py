"""When a limit will be reached, from a rate that has been shown to be real: numbers only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from resleak import formatting


@dataclass(frozen=True)
class Ceiling:
    """A limit that the system sets, and how much of it is used.

    Parameters
    ----------
    name : str
        What people call it, such as ``RLIMIT_NOFILE``.
    gauges : tuple of str
        The gauges whose growth uses it up, the best evidence first.
    limit, used : float
        In `unit`; `used` counts everyone who shares the limit.
    unit : str
        The gauges' unit.
    """

    name: str
    gauges: tuple[str, ...]
    limit: float
    used: float
    unit: str

    @property
    def room(self) -> float:
        """What is left of it."""
        return max(0.0, self.limit - self.used)


@dataclass(frozen=True)
class Forecast:
    """How long a limit lasts at a rate, and at both ends of the rate's interval.

    Attributes
    ----------
    gauge, ceiling, unit : str
        What grows, and the name and the unit of what it grows against.
    limit, used : float
        As of the ceiling.
    soonest_s, expected_s, latest_s : float
        Seconds from now; infinity where the rate is not above 0.
    """

    gauge: str
    ceiling: str
    limit: float
    used: float
    unit: str
    soonest_s: float
    expected_s: float
    latest_s: float

    def __str__(self) -> str:
        limit = f"{self.ceiling} ({formatting.amount(self.limit, self.unit)})"
        span = f"[{formatting.duration(self.soonest_s)}, {formatting.duration(self.latest_s)}]"
        return f"{self.gauge} reaches {limit} in {formatting.duration(self.expected_s)} {span}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; what never comes is None."""
        return {k: None if v == math.inf else v for k, v in asdict(self).items()}


def forecast(ceiling: Ceiling, gauge: str, per_second: float, low: float, high: float) -> Forecast:
    """Divide what is left of a limit by a rate and by both ends of its interval.

    Parameters
    ----------
    ceiling : Ceiling
        The limit.
    gauge : str
        What grows.
    per_second, low, high : float
        Its rate with its 95 % interval, in the ceiling's unit per second.

    Returns
    -------
    Forecast

    Examples
    --------
    >>> nofile = Ceiling("RLIMIT_NOFILE", ("fds",), 1024, 424, "descriptors")
    >>> forecast(nofile, "fds", 2.0, 1.0, 4.0).expected_s
    300.0
    """
    soonest, expected, latest = (_lasts(ceiling.room, rate) for rate in (high, per_second, low))
    known = (ceiling.name, ceiling.limit, ceiling.used, ceiling.unit)
    return Forecast(gauge, *known, soonest, expected, latest)


def forecasts(rows: Iterable[Mapping[str, Any]], ceilings: Iterable[Ceiling]) -> list[Forecast]:
    """Forecast every limit that a proven leak uses up, the next one first.

    Parameters
    ----------
    rows : iterable of mapping
        ``gauge verdict per_step low high`` as `growth.judge` gives them, of a trace whose
        steps are seconds. What is not a leak runs into nothing.
    ceilings : iterable of Ceiling
        The limits there are.

    Returns
    -------
    list of Forecast
        One for each limit at most.
    """
    leaks = {row["gauge"]: row for row in rows if row["verdict"] == "leak"}
    found = [
        forecast(ceiling, gauge, *(leaks[gauge][key] for key in ("per_step", "low", "high")))
        for ceiling in ceilings
        for gauge in [name for name in ceiling.gauges if name in leaks][:1]
    ]
    return sorted(found, key=lambda one: one.expected_s)


def _lasts(room: float, rate: float) -> float:
    return room / rate if rate > 0 else math.inf
