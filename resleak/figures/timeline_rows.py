"""The rows of a timeline: one gauge each, with its curves, its scale and its rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from resleak import formatting
from resleak.figures.timeline_curves import Axis, Curve, Medians, choose
from resleak.workload.gauges import Gauge
from resleak.workload.scenario import VERDICTS


@dataclass(frozen=True, eq=False)
class Row:
    """One gauge: its curves, and its scale from the gauge's unit to the axis's."""

    gauge: Gauge
    curves: dict[str, Curve]
    medians: Medians
    unit: str
    scale: float

    @property
    def span(self) -> float:
        """Highest minus lowest value of any run."""
        return self.highest - self.lowest

    @property
    def lowest(self) -> float:
        """Lowest value of any run."""
        return float(min(curve.low.min() for curve in self.curves.values()))

    @property
    def highest(self) -> float:
        """Highest value of any run."""
        return float(max(curve.high.max() for curve in self.curves.values()))

    @property
    def moves(self) -> bool:
        """Whether any variant rose by what is worth calling a climb."""
        return self.span >= self.gauge.rise


def asked(gauges: object) -> bool:
    """Tell whether gauges were asked for by name, rather than described or left open."""
    return gauges is not None and not isinstance(gauges, Mapping)


def rows_of(
    traces: pd.DataFrame, gauges: object, verdicts: pd.DataFrame | None, x: Axis
) -> list[Row]:
    """Return a row for each gauge with readings under load, in the order of drawing."""
    chosen, names = choose(traces, gauges), [str(v) for v in traces["variant"].unique()]
    if not chosen:
        return []
    medians, rows = Medians(traces, chosen, x), []
    for name, gauge in chosen.items():
        found = {variant: medians.load(variant, name) for variant in names}
        curves = {variant: curve for variant, curve in found.items() if len(curve)}
        if curves:
            highest = max(float(np.abs(curve.high).max()) for curve in curves.values())
            rows.append(Row(gauge, curves, medians, *_unit(gauge, highest, verdicts)))
    worst = {} if asked(gauges) else _severity(verdicts)
    return sorted(rows, key=lambda row: worst.get(row.gauge.name, 0))


def _unit(gauge: Gauge, highest: float, verdicts: pd.DataFrame | None) -> tuple[str, float]:
    unit = gauge.unit
    if not unit and verdicts is not None:
        unit = next(iter(verdicts.loc[verdicts["gauge"] == gauge.name, "unit"]), "")
    if unit != "B":
        return unit, 1.0
    power = min(int(np.log2(max(highest, 1.0)) // 10), 4)
    return ("B", "KiB", "MiB", "GiB", "TiB")[power], 1024.0**power


def _severity(verdicts: pd.DataFrame | None) -> dict[str, int]:
    """Return a rank for each gauge: that of its worst verdict in any variant."""
    if verdicts is None:
        return {}
    ranks = verdicts["verdict"].map({word: rank for rank, word in enumerate(VERDICTS)})
    return dict(ranks.groupby(verdicts["gauge"]).min())


def moving(rows: list[Row], verdicts: pd.DataFrame | None) -> list[Row]:
    """Return the rows that moved, or were judged to; all of them if none did."""
    worst, level = _severity(verdicts), VERDICTS.index("flat")
    chosen = [r for r in rows if r.moves or worst.get(r.gauge.name, level) < level]
    return chosen or rows


def left_out(rows: list[Row], drawn: list[Row]) -> str:
    """Return a sentence that names the gauges not drawn, with their values."""
    absent = [row for row in rows if row not in drawn]
    if not absent:
        return "" if any(row.moves for row in rows) else "No gauge moved enough to call it a climb."
    told = ", ".join(f"{row.gauge.name} {_level(row)}" for row in absent)
    return f"Not drawn, as they moved less than the smallest rise worth a word: {told}."


def _level(row: Row) -> str:
    unit = row.gauge.unit if row.gauge.unit == "B" else ""
    low, high = (formatting.amount(value, unit) for value in (row.lowest, row.highest))
    return f"at {low}" if low == high else f"at {low} to {high}"
