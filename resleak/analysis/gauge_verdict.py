"""The verdict on one gauge of one variant, with the numbers that it rests on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from resleak.workload.gauges import COUNTED
from resleak.workload.verdict_words import SYMPTOMS, Verdict

if TYPE_CHECKING:
    from resleak.analysis.statistics import Rate

#: False-alarm rate over all gauges of a variant.
ALPHA = 0.001
#: Minimum drop per garbage collection, in handles per block, to call a gauge deferred.
MIN_DROP = 2.0
_NAN = float("nan")


class Decision(NamedTuple):
    """A verdict with its reason, and the growth rate and noise floor that it rests on."""

    verdict: Verdict
    reason: str
    rate: Rate
    floor: float
    since: float = 0.0
    #: Growth per request with its 95 % CI, where requests were counted.
    per_request: tuple[float, float, float] = (_NAN, _NAN, _NAN)


@dataclass(frozen=True, kw_only=True)
class GaugeVerdict:
    """The verdict on one gauge, with all that is needed to defend it.

    Rates have `low` and `high` as 95 % CI; `per` is what a step is. A leak of at least
    `detection_limit` would almost certainly have been found, a smaller one may be. `since` is the
    step after which the rate was measured, `held_between_collections` the median drop at a garbage
    collection. `p` is corrected for the number of gauges. `origin` is the ``FILE:LINE in FUNCTION``
    that opened what leaks.
    """

    variant: str = ""
    gauge: str
    family: str = "own"
    verdict: Verdict
    per_step: float = _NAN
    low: float = _NAN
    high: float = _NAN
    unit: str = ""
    detection_limit: float = _NAN
    per_request: float = _NAN
    per_request_low: float = _NAN
    per_request_high: float = _NAN
    since: float = 0.0
    start: float = _NAN
    peak: float = _NAN
    at_end: float = _NAN
    held_between_collections: float = 0.0
    p: float = _NAN
    runs: int = 0
    reason: str = ""
    per: str = "step"
    origin: str = ""

    @property
    def is_leak(self) -> bool:
        """True if the gauge leaks."""
        return self.verdict == "leak"

    @property
    def is_gc_deferred(self) -> bool:
        """True if counted resources are freed only by the garbage collector, leak or not."""
        return self.family in COUNTED and self.held_between_collections >= MIN_DROP

    @property
    def symptoms(self) -> set[str]:
        """The words for what is wrong; a leak can also be deferred."""
        words = {str(self.verdict)} & SYMPTOMS
        return words | {"deferred"} if words and self.is_gc_deferred else words

    @property
    def readable(self) -> GaugeVerdict:
        """The same with rates per hour where steps are seconds."""
        return self.scaled(3600.0, "h") if self.per == "s" else self

    def scaled(self, factor: float, per: str) -> GaugeVerdict:
        """Return the same with its rates multiplied, and what they are then counted by."""
        rates = (self.per_step, self.low, self.high, self.detection_limit)
        per_step, low, high, limit = (factor * rate for rate in rates)
        return replace(self, per_step=per_step, low=low, high=high, detection_limit=limit, per=per)


def by_gauge(verdicts: Iterable[GaugeVerdict]) -> dict[str, GaugeVerdict]:
    """Return the verdicts on one variant by gauge."""
    return {verdict.gauge: verdict for verdict in verdicts}
