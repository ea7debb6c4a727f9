"""Before against after: which gauges changed, by how much, and whether a fix is certified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from resleak import formatting
from resleak.analysis import growth, wording
from resleak.analysis.equivalence import ALPHA, Certificate, certify
from resleak.analysis.gauge_verdict import GaugeVerdict, by_gauge
from resleak.analysis.rows import Rows, plain
from resleak.captures.frames import Captures, gauges_of, traces
from resleak.errors import StoreError
from resleak.workload.gauges import Gauge
from resleak.workload.verdict_words import VERDICTS, Verdict

_NAN = float("nan")


@dataclass(frozen=True, kw_only=True)
class GaugeComparison:
    """One gauge before and after.

    `low` and `high` bound the difference, in `unit` per step; `p`, `bound` and `margin` are those
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
    p: float = _NAN
    lower: bool
    bound: float = _NAN
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
    def certified(self) -> str:
        """The certain part of the rate, in words."""
        if self.equivalent:
            return f"after: within ±{self.rate(self.margin)}"
        return "lower" if self.lower else ""

    def rate(self, value: float) -> str:
        """Write a rate of this gauge."""
        return formatting.rate(value, self.unit, self.per)


@dataclass(frozen=True, repr=False)
class Comparison:
    """Two variants, gauge by gauge.

    Attributes
    ----------
    before, after : str
        Names of the two.
    rows : tuple of GaugeComparison
        One per gauge.
    frame : DataFrame
        The same as a table.
    """

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
        rows = [
            (row.gauge, row.rate(row.before), row.rate(row.after), row.words, row.certified)
            for row in self.rows
        ]
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
        Equivalence margin in units per step, by gauge; by default the gauge's noise floor over the
        steps that were run.

    Returns
    -------
    Comparison

    Raises
    ------
    StoreError
        If one of them has no runs with gauges, or both have no gauge in common.
    """
    gauges = gauges_of([*before, *after])
    old, new = (traces(side.select(instrument="gauges")) for side in (before, after))
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
    paired = _seeds(before) == _seeds(after)
    rows = [
        _compare_gauge(
            verdicts[0][name],
            verdicts[1][name],
            certificate(gauges[name], old, new, (margins or {}).get(name), paired=paired),
        )
        for name in common
    ]
    old_name, new_name = (f"{side[0].scenario} {side[0].variant}" for side in (before, after))
    return Comparison(old_name, new_name, Rows(GaugeComparison, rows))


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
        for row in comparison.rows
        if row.verdict_after == "leak" and row.low > 0
    ]


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


def _seeds(side: Captures) -> dict[int, Any]:
    return {c.run: c.manifest.seed for c in side if c.instrument == "gauges"}


def _compare_gauge(
    old: GaugeVerdict, new: GaugeVerdict, certificate: Certificate
) -> GaugeComparison:
    words = certificate.sentence(old.unit) if old.is_leak else f"{old.verdict} → {new.verdict}"
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
        sentence=f"{old.gauge}: {wording.rate(old)} → {wording.rate(new)}; {words}",
    )
