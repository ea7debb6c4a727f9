"""Budgets: limits that people set, held against rates that have already been shown to be real.

A budget never finds a leak. Where a leak is proven it says what the leak costs; where none is, it
says what the smallest one that could have been seen would cost.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from resleak import formatting
from resleak.analysis import limits
from resleak.analysis.verdicts import ScenarioVerdict, VariantVerdict
from resleak.captures.frames import Capture, Captures
from resleak.errors import BudgetError
from resleak.workload.scenario import Limit

#: Largest file of budgets that is read, in bytes.
_MAX_BYTES = 1 << 20
SEEDS = Path(__file__).with_name("budgets.toml")
_KINDS = ("per_hour", "per_step", "at_most", "spread")
_COLUMNS = [
    "variant",
    "budget",
    "gauge",
    "allowed",
    "measured",
    "high",
    "unit",
    "holds",
    "told",
    "source",
]


@dataclass(frozen=True)
class Budget:
    """One limit.

    Parameters
    ----------
    name : str
        What it is called.
    gauges : tuple of str
        What it limits: gauges, or ``cleanup_s``, ``exit_s``, ``cpu_share``.
    per_hour, per_step : float, optional
        Largest proven growth, in the gauge's unit.
    at_most : float, optional
        Largest reading of any run.
    spread : float, optional
        Highest reading over the lowest one after the warm-up, minus one.
    lasting_s : float
        Seconds of load before `at_most` means anything; shorter runs say nothing about it.
    source : str
        Where it is from.
    systems : tuple of str
        Scenarios of which systems it concerns; all if empty.
    """

    name: str
    gauges: tuple[str, ...]
    per_hour: float | None = None
    per_step: float | None = None
    at_most: float | None = None
    spread: float | None = None
    lasting_s: float = 0.0
    source: str = ""
    systems: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        given = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(given) != 1 or not self.gauges:
            raise BudgetError(
                f"the budget {self.name!r} needs gauges and exactly one of {', '.join(_KINDS)}"
            )
        if not isinstance(getattr(self, given[0]), int | float):
            raise BudgetError(f"the budget {self.name!r}: {given[0]} must be a number")


@dataclass(frozen=True)
class Budgets:
    """All limits, and how many steps an hour of work has."""

    steps_per_hour: float
    budgets: tuple[Budget, ...]


def read(file: Path | str | None = None) -> Budgets:
    """Read the seeds' budgets, and a person's own on top of them.

    Parameters
    ----------
    file : Path, optional
        A TOML file like ``resleak/budgets.toml``.

    Returns
    -------
    Budgets

    Raises
    ------
    BudgetError
        If the file cannot be read, or a budget in it makes no sense.
    """
    ours, own = _parsed(SEEDS), _parsed(Path(file)) if file else {}
    tables = {**ours["budget"], **own.get("budget", {})}
    made = [_budget(name, table) for name, table in tables.items() if not table.get("off")]
    steps = own.get("steps_per_hour", ours["steps_per_hour"])
    if not isinstance(steps, int | float) or steps <= 0:
        raise BudgetError(f"steps_per_hour must be a number above 0, not {steps!r}")
    return Budgets(float(steps), tuple(made))


def check(judgement: ScenarioVerdict, captures: Captures, budgets: Budgets) -> pd.DataFrame:
    """Hold every budget that concerns a scenario against each of its variants.

    Parameters
    ----------
    judgement : ScenarioVerdict
        Of `resleak.judge`.
    captures : Captures
        What was judged.
    budgets : Budgets
        Of `read`.

    Returns
    -------
    DataFrame
        One row a variant, budget and gauge that was measured: ``variant budget gauge allowed
        measured high unit holds told source``. `measured` is per hour, per step, or as read;
        `high` is the upper end of its 95 % interval; `told` says it in words.
    """
    system = str(judgement.scenario["system"])
    hour = (3600.0 if judgement.per == "s" else budgets.steps_per_hour, judgement.per)
    concerned = [b for b in budgets.budgets if not b.systems or system in b.systems]
    rows = [
        {"variant": variant.name, "budget": budget.name, **row, "source": budget.source}
        for variant in judgement.variants.values()
        for budget in concerned
        for row in _held(budget, variant, _runs(captures, variant.name), hour)
        if budget.per_step is None or judgement.per != "s"
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _held(
    budget: Budget, variant: VariantVerdict, runs: list[Capture], hour: tuple[float, str]
) -> Iterator[dict[str, Any]]:
    for gauge in budget.gauges:
        if budget.at_most is not None:
            yield from _reading(gauge, budget.at_most, [r for r in runs if _long_enough(r, budget)])
        elif budget.spread is not None:
            yield from _spread(gauge, budget.spread, runs)
        else:
            yield from _growth(gauge, budget, variant, hour)


def _growth(
    gauge: str, budget: Budget, variant: VariantVerdict, hour: tuple[float, str]
) -> Iterator[dict[str, Any]]:
    hourly = budget.per_hour is not None
    allowed = budget.per_hour if budget.per_hour is not None else budget.per_step
    steps, kind = hour
    factor, per = (steps, "h") if hourly else (1.0, kind)
    for row in variant.gauges[variant.gauges["gauge"] == gauge].to_dict(orient="records"):
        unit, proven = f"{row['unit']}/{per}", row["verdict"] == "leak"
        rate, high = (factor * row[key] if proven else 0.0 for key in ("per_step", "high"))
        seen = factor * row["smallest_detectable"]
        told = (
            ""
            if proven
            else f"no proven growth; {formatting.amount(seen, unit)} would have been seen"
        )
        if hourly and proven and row["per_step"] > 0:
            told = f"used up by {allowed / row['per_step']:,.0f} {formatting.several(kind)} an hour"
        yield _row(gauge, allowed, rate, high, unit, told)


def _reading(gauge: str, allowed: float, runs: list[Capture]) -> Iterator[dict[str, Any]]:
    found = [value for run in runs if not np.isnan(value := _of_run(run, gauge))]
    if found:
        unit = "s" if gauge.endswith("_s") else ""
        yield _row(gauge, allowed, max(found), max(found), unit, f"worst of {len(found)} runs")


def _long_enough(run: Capture, budget: Budget) -> bool:
    lasted = [p.end_s - p.start_s for p in run.manifest.phases if p.name == "steady"]
    return float(sum(lasted)) >= budget.lasting_s


def _spread(gauge: str, allowed: float, runs: list[Capture]) -> Iterator[dict[str, Any]]:
    found = [_variation(_steady(run, gauge)) for run in runs]
    known = [value for value in found if not np.isnan(value)]
    if known:
        yield _row(gauge, allowed, max(known), max(known), "", f"worst of {len(known)} runs")


def _row(
    gauge: str, allowed: float | None, measured: float, high: float, unit: str, told: str
) -> dict[str, Any]:
    numbers = {"allowed": allowed, "measured": measured, "high": high, "unit": unit}
    return {"gauge": gauge, **numbers, "holds": bool(measured <= (allowed or 0)), "told": told}


def _of_run(run: Capture, gauge: str) -> float:
    """Return a run's one number for a gauge: a time, a share of a core, or the highest reading."""
    if gauge == "cpu_share":
        found = limits.readings(Limit("cpu_s", per_second=1), run)
    else:
        found = limits.readings(Limit(gauge, at_most=0), run)
    return float(np.nanmax(found)) if np.isfinite(found).any() else np.nan


def _steady(run: Capture, gauge: str) -> np.ndarray:
    trace = run.trace
    if gauge not in trace:
        return np.empty(0)
    rows = trace[(trace["phase"] == "steady") & trace[gauge].notna()]
    return rows[gauge].to_numpy(dtype=float)


def _variation(values: np.ndarray) -> float:
    return float(values.max() / values.min() - 1) if len(values) and values.min() > 0 else np.nan


def _runs(captures: Captures, variant: str) -> list[Capture]:
    return list(captures.select(variant=variant, instrument="gauges"))


def _parsed(file: Path) -> dict[str, Any]:
    try:
        if file.exists() and not file.is_file():
            raise BudgetError(f"{file.name} is not a regular file; write budgets to a TOML file")
        with file.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise BudgetError(f"{file.name} is larger than {_MAX_BYTES >> 20} MiB; shorten it")
        found = tomllib.loads(content.decode())
    except OSError as error:
        raise BudgetError(f"cannot read the budgets in {file.name}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise BudgetError(f"{file.name} is no TOML: {error}") from None
    unknown = sorted(set(found) - {"steps_per_hour", "budget"})
    if unknown:
        raise BudgetError(
            f"{file.name} has {', '.join(unknown)}; it may have steps_per_hour, budget"
        )
    return found


def _budget(name: str, table: dict[str, Any]) -> Budget:
    known = {field.name for field in fields(Budget)} - {"name"}
    unknown = sorted(set(table) - known - {"off"})
    if unknown:
        raise BudgetError(
            f"the budget {name!r} has {', '.join(unknown)}; it may have {_listed(known)}"
        )
    values: dict[str, Any] = {key: value for key, value in table.items() if key != "off"}
    values |= {key: _names(values.get(key, [])) for key in ("gauges", "systems")}
    return Budget(name=name, **values)


def _names(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(map(str, value))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
