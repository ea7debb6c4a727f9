"""Verdicts in words: one sentence, one short form, one rate with its interval.

Nothing here needs numpy or pandas, so that a kept recording is summarized without loading them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from resleak import formatting

if TYPE_CHECKING:
    from resleak.analysis.gauge_verdict import GaugeVerdict
    from resleak.analysis.limits import Scaling
    from resleak.analysis.stacks.site import Site


def bare(value: float, unit: str) -> str:
    """Write a number without its unit, unless it is scaled by it (bytes)."""
    return formatting.amount(value, unit if unit == "B" else "")


def bounds(low: float, high: float, unit: str) -> str:
    """Write an interval: bytes are scaled, other numbers are bare."""
    return f"[{bare(low, unit)}, {bare(high, unit)}]"


def rate(verdict: GaugeVerdict) -> str:
    """Write the growth rate, such as ``2 descriptors/step``."""
    return formatting.rate(verdict.per_step, verdict.unit, verdict.per)


def per_request(verdict: GaugeVerdict) -> str:
    """Write the growth per 1,000 requests with its 95 % CI; empty where none are counted."""
    rates = (verdict.per_request, verdict.per_request_low, verdict.per_request_high)
    if math.isnan(rates[0]):
        return ""
    value, low, high = (1000 * rate for rate in rates)
    return f"{bare(value, verdict.unit)} {bounds(low, high, verdict.unit)}"


def interval(verdict: GaugeVerdict) -> str:
    """Write the 95 % confidence interval of the growth rate."""
    return bounds(verdict.low, verdict.high, verdict.unit)


def detection_limit(verdict: GaugeVerdict) -> str:
    """Write the detection limit as a rate."""
    return formatting.rate(verdict.detection_limit, verdict.unit, verdict.per)


def label(verdict: GaugeVerdict) -> str:
    """Write the verdict in a word, of a leak with its rate."""
    return f"leak {rate(verdict)}" if verdict.is_leak else str(verdict.verdict)


def short(verdict: GaugeVerdict, word: str = "") -> str:
    """Write gauge and verdict with their number; `word` is which of two verdicts to quote."""
    word = word or verdict.verdict
    number = {
        "leak": f" {rate(verdict)} {interval(verdict)}",
        "deferred": f", {deferred(verdict)}",
        "plateau": f", at most {formatting.amount(verdict.peak, verdict.unit)}",
        "flat": f", detection limit {detection_limit(verdict)}",
    }
    return f"{verdict.gauge} {word}{number.get(word, '')}"


def deferred(verdict: GaugeVerdict) -> str:
    """Say how much is freed only by the garbage collector."""
    drop = formatting.amount(verdict.held_between_collections, verdict.unit)
    return f"{drop} freed only by the garbage collector"


def sentence(verdict: GaugeVerdict) -> str:
    """Say verdict, growth rate, 95 % CI, detection limit and reason of one gauge."""
    work = per_request(verdict)
    return (
        f"{verdict.gauge}: {verdict.verdict}, {rate(verdict)}, 95 % CI {interval(verdict)}, "
        f"detection limit {detection_limit(verdict)}; "
        f"{f'{work} per 1,000 requests; ' if work else ''}{verdict.reason}"
    )


def exponent(scaling: Scaling) -> str:
    """Write the exponent of a cost with its 95 % CI."""
    low, high = scaling.low, scaling.high
    return f"{formatting.number(scaling.exponent)} {formatting.interval(low, high)}"


def largest_site(sites: Sequence[Site], per: str, name: Callable[[str], str] = str) -> str:
    """Name the first site of a ranking: its rate, lower bound, place and share of the growth."""
    # `name` marks a name as one, or escapes it: functions and files may come from someone else.
    if not sites:
        return "no memory profile."
    per = {"s": "second"}.get(per, "step")
    certain = [site for site in sites if site.low > 0]
    lines = [site for site in certain if site.file]
    others = [site for site in certain if not site.file]
    sentences = [f"no line retains more memory with each {per}."]
    if lines:
        site = lines[0]
        rate, low = (formatting.amount(value, "B") for value in (site.bytes_per_step, site.low))
        at_least = f", at least {low}," if low != rate else ""
        where = f"{name(site.place)} in {name(site.function)}"
        share = f"{formatting.share(site.share)} of the growth"
        sentences = [f"{rate} per {per}{at_least} from {where}, {share}."]
    most = max(others, key=lambda site: site.share, default=None)
    if most and most.share > max((site.share for site in lines), default=0.0):
        share = formatting.share(most.share)
        sentences.append(f"{share} of the growth is {name(most.function)}, which has no line.")
    return " ".join(sentences)
