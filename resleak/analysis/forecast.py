"""Forecasts: when a proven leak reaches a limit of the system."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from resleak import formatting
from resleak.analysis.gauge_verdict import GaugeVerdict


@dataclass(frozen=True)
class Ceiling:
    """A limit of the system; `gauges` use it up, `used` counts everyone who shares it."""

    name: str
    gauges: tuple[str, ...]
    limit: float
    used: float
    unit: str


@dataclass(frozen=True)
class Forecast:
    """Seconds until a gauge reaches a limit, at its rate and at both ends of the rate's CI."""

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


def forecast(ceiling: Ceiling, gauge: str, per_second: float, low: float, high: float) -> Forecast:
    """Divide the remaining room by a rate per second and both ends of its 95 % CI."""
    room = max(0.0, ceiling.limit - ceiling.used)
    times = (room / rate if rate > 0 else math.inf for rate in (high, per_second, low))
    return Forecast(gauge, ceiling.name, ceiling.limit, ceiling.used, ceiling.unit, *times)


def forecasts(gauges: Iterable[GaugeVerdict], ceilings: Iterable[Ceiling]) -> list[Forecast]:
    """Return when proven leaks reach each limit, the soonest first; steps must be seconds."""
    leaks = {one.gauge: one for one in gauges if one.is_leak}
    reached = [
        forecast(ceiling, leak.gauge, leak.per_step, leak.low, leak.high)
        for ceiling in ceilings
        for leak in [leaks[name] for name in ceiling.gauges if name in leaks][:1]
    ]
    return sorted(reached, key=lambda one: one.expected_s)
