"""Before against after: which gauges changed, by how much, and whether a fix is certified.

"Not significantly different" is not "fixed": the rate must be lower than before (Welch's test), and
what remains within a stated equivalence margin (two one-sided tests).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from resleak import formatting
from resleak.analysis import growth, wording
from resleak.analysis.gauge_verdict import GaugeVerdict, by_gauge
from resleak.analysis.rows import Rows, plain
from resleak.analysis.statistics import Floats, standard_error, student_quantile
from resleak.captures.frames import Captures, gauges_of, traces
from resleak.errors import StoreError
from resleak.workload.gauges import Gauge
from resleak.workload.verdict_words import VERDICTS, Verdict

Answer = Literal["fixed", "lower", "not fixed", "refused"]
#: Significance level of a lower rate.
ALPHA = 0.01
#: The certificate's confidence.
CONFIDENCE = 0.95
#: Fewest slopes per side: of three runs that read the gauge, or of two in halves.
FEWEST_RUNS = 3
#: Most runs that are proposed.
_MOST_RUNS = 100
#: Most versions in the name of a side.
_MOST_VERSIONS = 3


@dataclass(frozen=True)
class Certificate:
    """The certainty of a fix.

    ``fixed``: lower, and within the equivalence margin. ``lower``: the rest may exceed the margin.
    `p` is the one-sided p-value of a lower rate, `bound` the upper 95 % confidence bound of the
    remaining rate, `needs` the runs per side that would decide (0 if none would).
    """

    answer: Answer
    p: float
    bound: float
    margin: float
    needs: int = 0

    def sentence(self, unit: str, per: str = "step") -> str:
        """Return answer, confidence and what would decide, in one sentence."""
        factor, per = (3600.0, "h") if per == "s" else (1.0, per)
        margin, bound = (
            formatting.rate(factor * one, unit, per) for one in (self.margin, self.bound)
        )
        if self.answer == "fixed":
            return f"fixed: under {margin} with {CONFIDENCE:.0%} confidence (p = {self.p:.2g})"
        more = f"; about {self.needs} runs per side would decide" if self.needs else ""
        if self.answer == "lower":
            return f"lower (p = {self.p:.2g}), not certified: up to {bound} may remain{more}"
        if self.answer == "not fixed":
            return f"not shown to be lower (p = {self.p:.2g}){more}"
        if per == "h":
            return "refused: too few runs read it; 3 per side are enough, or lives of a process"
        return "refused: too few runs read it; 3 per side are enough, 4 for native and blocks"


@dataclass(frozen=True, kw_only=True)
class GaugeComparison:
    """One gauge before and after.

    `low` and `high` bound the difference, in `unit` per `per`; `p`, `bound` and `margin` are those
    of the `Certificate`, whose answer is empty for a gauge that did not leak before.
    """

    gauge: str
    unit: str
    per: str = "step"
    before: float
    after: float
    difference: float
    low: float
    high: float
    p: float = math.nan
    lower: bool
    bound: float = math.nan
    equivalent: bool
    margin: float
    certificate: str
    verdict_before: Verdict
    verdict_after: Verdict
    sentence: str = ""

    @property
    def words(self) -> str:
        """Both verdicts."""
        return f"{self.verdict_before} → {self.verdict_after}"

    @property
    def severity(self) -> int:
        """Rank of the worse verdict, 0 for the worst."""
        return min(VERDICTS.index(word) for word in (self.verdict_before, self.verdict_after))

    @property
    def readable(self) -> GaugeComparison:
        """The same with rates per hour where steps are seconds."""
        names = ("before", "after", "difference", "low", "high", "bound", "margin")
        rates: dict[str, Any] = {name: 3600.0 * getattr(self, name) for name in names}
        return replace(self, per="h", **rates) if self.per == "s" else self

    def rate(self, value: float) -> str:
        """Write a rate of this gauge."""
        return formatting.rate(value, self.unit, self.per)


@dataclass(frozen=True, repr=False)
class Comparison:
    """Two variants by name, gauge by gauge; `frame` is `rows` as a table."""

    before: str
    after: str
    rows: Rows[GaugeComparison]

    @property
    def frame(self) -> pd.DataFrame:
        """One row per gauge."""
        return self.rows.frame

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; NaN becomes None."""
        gauges = {row.gauge: plain(row) for row in self.rows}
        for row in gauges.values():
            del row["gauge"]
        return {"before": self.before, "after": self.after, "gauges": gauges}

    def __str__(self) -> str:
        return "\n".join(row.sentence for row in self.rows)

    def __repr__(self) -> str:
        return f"{self.before} → {self.after}\n{self}"

    def _repr_html_(self) -> str:
        head = ("gauge", self.before, self.after, "verdicts", "certified")
        rows = []
        for row in (one.readable for one in self.rows):
            certain = f"after: within ±{row.rate(row.margin)}" if row.equivalent else ""
            certain = certain or ("lower" if row.lower else "")
            rows.append((row.gauge, row.rate(row.before), row.rate(row.after), row.words, certain))
        return formatting.Table(head, rows, f"{self.before} → {self.after}").html()


def compare(
    before: Captures, after: Captures, margins: Mapping[str, float] | None = None
) -> Comparison:
    """Compare the runs of two variants (or of one variant at two times).

    Parameters
    ----------
    before, after : Captures
        Replicated runs of each; the same number of steps compares best.
    margins : mapping of str to float, optional
        Equivalence margin in units per step (over time: per second), by gauge; by default the
        gauge's noise floor over the steps that were run.

    Returns
    -------
    Comparison

    Raises
    ------
    StoreError
        If one of them has no runs with gauges, they have no gauge in common, or their steps are of
        different kinds.
    """
    gauges = gauges_of([*before, *after])
    old, new = (traces(side.select(instrument="gauges")) for side in (before, after))
    if old.attrs["per"] != new.attrs["per"]:
        both = f"{old.attrs['per']} before, {new.attrs['per']} after"
        raise StoreError(f"these captures count by different things: {both}")
    _check_hosts(before, after)
    for side in (before, after):
        if len(side.variants) != 1:
            names = ", ".join(side.variants)
            raise StoreError(f"one side has {len(side.variants)} variants ({names}); give one")
    verdicts = [by_gauge(growth.judge(side, gauges)) for side in (old, new)]
    common = [name for name in verdicts[0] if name in verdicts[1]]
    if not common:
        raise StoreError("these captures have no gauge in common; compare runs of one scenario")
    if unknown := set(margins or ()) - set(common):
        raise StoreError(f"no gauge {', '.join(sorted(unknown))} here; known: {', '.join(common)}")
    seeds, other_seeds = (
        {c.run: c.manifest.seed for c in side if c.instrument == "gauges"}
        for side in (before, after)
    )
    rows = []
    for name in common:
        margin = (margins or {}).get(name)
        found = certificate(gauges[name], old, new, margin, paired=seeds == other_seeds)
        rows.append(_compare_gauge(verdicts[0][name], verdicts[1][name], found))
    old_name, new_name = _names(before, after)
    return Comparison(old_name, new_name, Rows(GaugeComparison, rows))


def _names(before: Captures, after: Captures) -> list[str]:
    """Return scenario and variant of each side; where they are the same, also what differs."""
    sides = before[0], after[0]
    names = [f"{side.scenario} {side.variant}" for side in sides]
    if names[0] != names[1]:
        return names
    versions = [side.manifest.versions for side in sides]
    old, new = ({"Python": one.python, **one.packages} for one in versions)
    known = [name for name in old if name in new and old[name] != new[name]][:_MOST_VERSIONS]
    suffixes = [", ".join(f"{name} {one[name]}" for name in known) for one in (old, new)]
    both = zip(names, suffixes if known else ("before", "after"), strict=True)
    return [", ".join(parts) for parts in both]


def certificate(
    gauge: Gauge,
    before: pd.DataFrame,
    after: pd.DataFrame,
    margin: float | None = None,
    *,
    paired: bool,
) -> Certificate:
    """Certify one gauge from traces; `paired`: runs of one number have the same seed."""
    old, new = (growth.replicate_slopes(side, gauge.name) for side in (before, after))
    differences = growth.paired_slope_differences(before, after, gauge.name) if paired else None
    margin = growth.noise_floor(gauge, after) if margin is None else margin
    return certify(old, new, margin, differences)


def faster_leaks(comparison: Comparison) -> list[str]:
    """Return one sentence for each gauge that leaks, and faster than before."""
    return [
        f"{row.gauge} was {row.rate(row.before)} and is {row.rate(row.after)}"
        for row in (one.readable for one in comparison.rows)
        if row.verdict_after == "leak" and row.low > 0
    ]


def certify(
    before: Floats, after: Floats, margin: float, paired: Floats | None = None
) -> Certificate:
    """Compare replicate slopes before and after a change, with the margin in their unit."""
    # Welch: The generalization of "Student's" problem when several different population variances
    # are involved (1947). Schuirmann: A comparison of the two one-sided tests procedure (1987).
    if min(len(before), len(after)) < FEWEST_RUNS:
        return Certificate("refused", math.nan, math.nan, margin, FEWEST_RUNS)
    # The upper bound of the absolute mean rate, by two one-sided tests.
    quantile = float(student_quantile(len(after) - 1, CONFIDENCE))
    bound = float(abs(np.mean(after)) + quantile * standard_error(after))
    p = _lower_p(after, before)
    # Of runs with the same seed, shared noise cancels out; other noise is judged better without.
    if paired is not None and len(paired) >= FEWEST_RUNS:
        p = min(1.0, 2 * min(p, _lower_p(paired)))
    if p >= ALPHA:
        deviation = math.hypot(np.std(before, ddof=1), np.std(after, ddof=1))
        difference = float(np.mean(before) - np.mean(after))
        present = max(len(before), len(after))
        needs = _fewest_runs(present, 1 - ALPHA, deviation, difference)
        return Certificate("not fixed", p, bound, margin, needs)
    if bound >= margin:
        room = float(margin - abs(np.mean(after)))
        needs = _fewest_runs(len(after), CONFIDENCE, float(np.std(after, ddof=1)), room)
        return Certificate("lower", p, bound, margin, needs)
    return Certificate("fixed", p, bound, margin)


def _lower_p(rates: Floats, before: Floats | None = None) -> float:
    """Return the one-sided p-value of rates being lower than before, or differences below 0."""
    from scipy import stats

    # Exact rates need no test.
    if all(np.allclose(x, x[0], rtol=1e-9, atol=0) for x in (rates, before) if x is not None):
        level = 0.0 if before is None else before[0]
        return 0.0 if rates[0] < level and not np.isclose(rates[0], level) else 1.0
    if before is None:
        return float(stats.ttest_1samp(rates, 0.0, alternative="less").pvalue)
    with warnings.catch_warnings():  # scipy warns of a side that is exact, which is no fault
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(stats.ttest_ind(rates, before, equal_var=False, alternative="less").pvalue)


def _fewest_runs(present: int, level: float, deviation: float, width: float) -> int:
    """Return the fewest runs above the present number with half a CI below a width; or 0."""
    counts = np.arange(present + 1, _MOST_RUNS + 1)
    enough = student_quantile(counts - 1, level) * deviation / np.sqrt(counts) < width
    return int(next(iter(counts[enough]), 0))


def _check_hosts(before: Captures, after: Captures) -> None:
    """Raise StoreError if the two sides ran on hosts of different classes."""
    for name in before[0].manifest.host_facts if before else ():
        # Captures of earlier versions do not say all of it.
        old, new = ({c.manifest.host_facts[name] for c in side} for side in (before, after))
        if old != new and "" not in old | new:
            both = f"{', '.join(sorted(old))} before, {', '.join(sorted(new))} after"
            raise StoreError(
                f"these runs are of hosts that cannot be compared ({name}: {both}); "
                "measure both sides on one"
            )


def _compare_gauge(
    old: GaugeVerdict, new: GaugeVerdict, certificate: Certificate
) -> GaugeComparison:
    words = f"{old.verdict} → {new.verdict}"
    if old.is_leak:
        words = certificate.sentence(old.unit, new.per)
    rates = " → ".join(wording.rate(one.readable) for one in (old, new))
    return GaugeComparison(
        gauge=old.gauge,
        unit=old.unit,
        per=new.per,
        before=old.per_step,
        after=new.per_step,
        difference=new.per_step - old.per_step,
        low=new.low - old.high,
        high=new.high - old.low,
        p=certificate.p,
        lower=certificate.p < ALPHA,
        bound=certificate.bound,
        equivalent=certificate.bound < certificate.margin,
        margin=certificate.margin,
        certificate=certificate.answer if old.is_leak else "",
        verdict_before=old.verdict,
        verdict_after=new.verdict,
        sentence=f"{old.gauge}: {rates}; {words}",
    )
