"""Before against after: which gauges changed, by how much, and what that certifies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from resleak import formatting
from resleak.analysis import growth
from resleak.analysis.equivalence import ALPHA, Certificate, certify
from resleak.captures.frames import Captures, gauges_of, traces
from resleak.errors import StoreError
from resleak.workload.gauges import Gauge


@dataclass(frozen=True, repr=False)
class Comparison:
    """Two variants, gauge by gauge.

    Attributes
    ----------
    before, after : str
        Names of the two.
    frame : DataFrame
        One row a gauge: ``gauge unit per before after difference low high p lower bound
        equivalent margin certificate verdict_before verdict_after sentence``. `low` and `high`
        bound the difference of the rates; `p`, `bound` and `margin` are those of
        `Certificate`, and `certificate` its answer, empty for what did not
        leak before; `equivalent` says that what is left is surely within the margin.
    """

    before: str
    after: str
    frame: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; NaN becomes None."""
        rows = self.frame.set_index("gauge").to_dict(orient="index")
        gauges = {
            name: {key: None if _is_nan(value) else value for key, value in row.items()}
            for name, row in rows.items()
        }
        return {"before": self.before, "after": self.after, "gauges": gauges}

    def __str__(self) -> str:
        return "\n".join(self.frame["sentence"])

    def __repr__(self) -> str:
        return f"{self.before} → {self.after}\n{self}"

    def _repr_html_(self) -> str:
        head = ("gauge", self.before, self.after, "verdicts", "certified")
        rows = [_cells(row) for row in self.frame.to_dict(orient="records")]
        return formatting.table_html(f"{self.before} → {self.after}", head, rows)


def compare(
    before: Captures, after: Captures, margins: Mapping[str, float] | None = None
) -> Comparison:
    """Compare the runs of two variants (or of one variant at two times).

    Parameters
    ----------
    before, after : Captures
        Replicated runs of each; the same number of steps compares best.
    margins : mapping of str to float, optional
        What counts as nothing, in units per step, by gauge; else the gauge's floor over the steps
        that were run.

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
    _check_one_variant(before, after)
    judged = [growth.judge(side, gauges).set_index("gauge") for side in (old, new)]
    common = [name for name in judged[0].index if name in judged[1].index]
    if not common:
        raise StoreError("these captures have no gauge in common; compare runs of one scenario")
    if unknown := set(margins or ()) - set(common):
        raise StoreError(f"no gauge {', '.join(sorted(unknown))} here; known: {', '.join(common)}")
    twins = _seeds(before) == _seeds(after)
    rows = [
        _row(
            gauges[name],
            judged[0].loc[name],
            judged[1].loc[name],
            certificate(gauges[name], old, new, (margins or {}).get(name), twins=twins),
        )
        for name in common
    ]
    return Comparison(_label(before), _label(after), pd.DataFrame(rows))


def _check_one_variant(*sides: Captures) -> None:
    for side in sides:
        names = side.variants
        if len(names) != 1:
            raise StoreError(f"one side holds {len(names)} variants ({', '.join(names)}); give one")


def certificate(
    gauge: Gauge,
    before: pd.DataFrame,
    after: pd.DataFrame,
    margin: float | None = None,
    *,
    twins: bool,
) -> Certificate:
    """Certify what the runs of two variants say of one gauge.

    Parameters
    ----------
    gauge : Gauge
        What to compare.
    before, after : DataFrame
        Traces of one variant each.
    margin : float, optional
        What counts as nothing, in the gauge's unit per step; else its floor.
    twins : bool
        Whether runs of one number have the same seed on both sides.
    """
    old, new = (growth.run_rates(side, gauge.name) for side in (before, after))
    changes = growth.paired_rates(before, after, gauge.name) if twins else None
    return certify(old, new, growth.floor(gauge, after) if margin is None else margin, changes)


def _seeds(side: Captures) -> dict[int, Any]:
    return {c.run: c.manifest.seed for c in side if c.instrument == "gauges"}


def _row(gauge: Gauge, old: pd.Series, new: pd.Series, certified: Certificate) -> dict[str, Any]:
    leaked = old["verdict"] == "leak"
    row = {
        "gauge": gauge.name,
        "unit": gauge.unit,
        "per": str(new["per"]),
        "before": float(old["per_step"]),
        "after": float(new["per_step"]),
        "difference": float(new["per_step"] - old["per_step"]),
        "low": float(new["low"] - old["high"]),
        "high": float(new["high"] - old["low"]),
        "p": certified.p,
        "lower": certified.p < ALPHA,
        "bound": certified.bound,
        "equivalent": certified.bound < certified.margin,
        "margin": certified.margin,
        "certificate": certified.answer if leaked else "",
        "verdict_before": old["verdict"],
        "verdict_after": new["verdict"],
    }
    return {**row, "sentence": _sentence(row, certified)}


def _sentence(row: dict[str, Any], certified: Certificate) -> str:
    change = f"{_rate(row, 'before')} → {_rate(row, 'after')}"
    words = f"{row['verdict_before']} → {row['verdict_after']}"
    told = certified.sentence(row["unit"]) if row["certificate"] else words
    return f"{row['gauge']}: {change}; {told}"


def _rate(row: dict[Any, Any], key: str) -> str:
    return formatting.rate(row[key], row["unit"], row["per"])


def _cells(row: dict[Any, Any]) -> tuple[str, ...]:
    rates = (_rate(row, side) for side in ("before", "after"))
    words = f"{row['verdict_before']} → {row['verdict_after']}"
    margin = _rate(row, "margin")
    sure = f"after: within ±{margin}" if row["equivalent"] else "lower" if row["lower"] else ""
    return (row["gauge"], *rates, words, sure)


def _label(side: Captures) -> str:
    return f"{side[0].scenario} {side[0].variant}"


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
