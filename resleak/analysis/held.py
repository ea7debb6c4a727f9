"""Hold what was found of a piece of work against what it may cost: three answers are possible."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from resleak import formatting
from resleak.analysis import growth, verdicts
from resleak.analysis.comparison import Comparison
from resleak.analysis.verdicts import VariantVerdict
from resleak.errors import BudgetError

Outcome = Literal["holds", "broken", "inconclusive"]

_ALLOWED = re.compile(r"\s*(?P<number>[\d.]+)\s*(?P<unit>[^\d/\s]*)\s*(/\s*step)?\s*")
_BYTES = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


@dataclass(frozen=True)
class Held:
    """What became of the limits on one piece of work.

    Attributes
    ----------
    outcome : {"holds", "broken", "inconclusive"}
        Broken if anything is.
    broken, undecided, held : tuple of str
        Each limit in words with its number, by what became of it.
    """

    broken: tuple[str, ...]
    undecided: tuple[str, ...]
    held: tuple[str, ...]

    @property
    def outcome(self) -> Outcome:
        """The worst that applies."""
        if self.broken:
            return "broken"
        return "inconclusive" if self.undecided else "holds"


def allowed_rate(gauge: str, told: float | str) -> float:
    """Read what a gauge may grow by, such as ``0`` or ``"16 B/step"``.

    Parameters
    ----------
    gauge : str
        A built-in gauge.
    told : float or str
        Units per step; bytes may be written as B, kB, KiB, MB, MiB, GB, GiB.

    Returns
    -------
    float
        In the gauge's unit per step.

    Raises
    ------
    BudgetError
        If there is no such gauge, or it is no rate.
    """
    from resleak.workload.gauges import BUILTIN

    if gauge not in BUILTIN:
        known = ", ".join(BUILTIN)
        raise BudgetError(f"there is no gauge {gauge!r}; there are: {known}")
    unit = BUILTIN[gauge].unit
    match = _ALLOWED.fullmatch(str(told))
    sizes = _BYTES if unit == "B" else {unit: 1}
    if match is None or match["unit"] not in ("", *sizes) or match["number"].count(".") > 1:
        raise BudgetError(f"{gauge}={told!r} is no rate; write 0 or '16 {unit}/step'")
    return float(match["number"]) * sizes.get(match["unit"], 1)


def hold(judged: VariantVerdict, allowed: Mapping[str, float]) -> Held:
    """Hold every named gauge against what it may grow by; without names, all against nothing.

    Parameters
    ----------
    judged : VariantVerdict
        Of `resleak.judge`.
    allowed : mapping of str to float
        Units per step. With 0, a gauge must not leak, nor wait for the garbage collector. Above 0,
        the whole interval of its rate must lie at or below it.

    Returns
    -------
    Held
    """
    limits = allowed or dict.fromkeys(judged.gauges["gauge"], 0.0)
    rows = {row["gauge"]: row for row in verdicts.records(judged.gauges)}
    sorted_: dict[Outcome, list[str]] = {"broken": [], "inconclusive": [], "holds": []}
    for gauge, limit in limits.items():
        outcome, told = _hold_one(gauge, limit, rows.get(gauge))
        sorted_[outcome].append(told)
    if "run" in judged.symptoms:
        sorted_["broken"].append("the process does not end by itself")
    broken, undecided, held = (tuple(found) for found in sorted_.values())
    return Held(broken, undecided, held)


def worse(compared: Comparison) -> list[str]:
    """Say which gauges leak, and do so faster than they did before.

    Parameters
    ----------
    compared : Comparison
        Before and after, of `resleak.compare`.
    """
    return [
        f"{row['gauge']} was {formatting.rate(row['before'], row['unit'])} and is "
        f"{formatting.rate(row['after'], row['unit'])}"
        for row in verdicts.records(compared.frame)
        if row["verdict_after"] == "leak" and row["low"] > 0
    ]


def _hold_one(gauge: str, limit: float, row: Mapping[str, Any] | None) -> tuple[Outcome, str]:
    if row is None:
        return "inconclusive", f"{gauge} was not read"
    unit, verdict = row["unit"], row["verdict"]
    low, high = (
        formatting.amount(row[key], unit if unit == "B" else "") for key in ("low", "high")
    )
    told = f"{gauge} {verdict} {formatting.rate(row['per_step'], unit)} [{low}, {high}]"
    told += f", allowed {formatting.rate(limit, unit) if limit else 'none'}"
    if growth.waits(row) or verdict == "deferred":
        waiting = formatting.amount(row["held_between_collections"], unit)
        return "broken", f"{told}; {waiting} wait for the garbage collector"
    if verdict == "inconclusive":
        return "inconclusive", f"{gauge}: {row['reason']}"
    if verdict == "leak" and row["low"] > limit:
        return "broken", told
    if limit and row["high"] > limit:
        return "inconclusive", f"{told}: more runs or steps would tell"
    smallest = formatting.rate(row["smallest_detectable"], unit)
    return "holds", f"{gauge} {verdict}, none above {smallest}"
