"""Budgets: limits that people set, checked against growth rates that are proven to be real.

A budget never finds a leak: it says what a proven one costs, or one of the detection limit. An
allowance is a budget per step, with a third answer: a rate whose interval spans it is inconclusive.
"""

from __future__ import annotations

import math
import re
import stat
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from resleak import formatting
from resleak.analysis import limits, wording
from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.analysis.rows import Rows, names_of
from resleak.analysis.verdicts import ScenarioVerdict, VariantVerdict
from resleak.captures.frames import Capture, Captures
from resleak.errors import BudgetError
from resleak.workload import catalog
from resleak.workload.gauges import BUILTIN
from resleak.workload.scenario import Limit
from resleak.workload.verdict_words import UNDECIDED

#: The budgets of the source documents.
BUILTIN_FILE = Path(__file__).with_name("budgets.toml")
_KINDS = ("per_hour", "per_step", "at_most", "spread")
_RATE = re.compile(
    r"\s*(?P<number>\d{1,40}(\.\d{0,40})?|\.\d{1,40})\s*(?P<unit>[^\d./]{0,20}?)(\s*/\s*step)?\s*",
    re.ASCII,
)
_BYTES = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
#: A file of budgets comes from anyone: most bytes, and most characters of a name in it.
_MAX_BYTES, _MAX_NAME = 64 * 1024, 200

Outcome = Literal["holds", "broken", "inconclusive"]


@dataclass(frozen=True)
class Budget:
    """One limit; exactly one of `per_hour`, `per_step`, `at_most` and `spread` is given.

    The first two are the largest proven growth, `at_most` the largest reading of any run with at
    least `lasting_s` seconds of load, `spread` the highest steady reading / the lowest one, minus
    one. It concerns `systems`, or all. `gauges` can also be ``cleanup_s exit_s cpu_share``.
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
        for text in (self.name, self.source, *self.gauges, *self.systems):
            if not isinstance(text, str) or not text.isprintable() or len(text) > _MAX_NAME:
                raise BudgetError(f"a budget has {_brief(text)} where a short text must be")
        which = f"the budget {self.name!r}"
        given = [kind for kind in _KINDS if getattr(self, kind) is not None]
        if len(given) != 1 or not self.gauges:
            raise BudgetError(f"{which} needs gauges and exactly one of {', '.join(_KINDS)}")
        for field in (*given, "lasting_s"):
            _number(getattr(self, field), f"{which}: {field}")


@dataclass(frozen=True)
class Budgets:
    """All budgets, and how many steps an hour of work has."""

    steps_per_hour: float
    budgets: tuple[Budget, ...]


@dataclass(frozen=True)
class BudgetCheck:
    """One budget of one gauge of one variant; `high` is the upper end of the measured 95 % CI."""

    variant: str
    budget: str
    gauge: str
    allowed: float
    measured: float
    high: float
    unit: str
    holds: bool
    note: str
    source: str

    @property
    def text(self) -> str:
        """Gauge, reading and allowance in words."""
        measured = formatting.amount(self.measured, self.unit)
        return f"{self.gauge} {measured}, allowed {formatting.amount(self.allowed, self.unit)}"


@dataclass(frozen=True)
class AllowanceCheck:
    """The allowances of one variant in words with their numbers, by outcome."""

    broken: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    within: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """The worst that applies."""
        if self.broken:
            return "broken"
        return "inconclusive" if self.undecided else "holds"


def read(own: Path | str | Mapping[str, Any] | None = None) -> Budgets:
    """Read the built-in budgets, and a TOML file, or a table of its form, on top of them."""
    base = _parse(BUILTIN_FILE)
    # The built-in ones are of the source documents, and concern their systems alone.
    systems = sorted({name.partition("/")[0] for name in catalog.paths()})
    own = _parse(Path(own)) if isinstance(own, (str, Path)) else own or {}
    builtin = {name: {"systems": systems, **table} for name, table in base["budget"].items()}
    tables = {**builtin, **_table(own.get("budget", {}), "budget")}
    budgets = [
        _budget(name, _table(table, f"budget.{_brief(name)}")) for name, table in tables.items()
    ]
    steps = _number(own.get("steps_per_hour", base["steps_per_hour"]), "steps_per_hour")
    if steps <= 0:
        raise BudgetError(f"steps_per_hour must be a number above 0, not {steps!r}")
    return Budgets(steps, tuple(filter(None, budgets)))


def check(judgement: ScenarioVerdict, captures: Captures, budgets: Budgets) -> Rows[BudgetCheck]:
    """Check every budget that concerns a scenario in each of its variants."""
    system, per = str(judgement.scenario["system"]), judgement.per
    steps_per_hour = 3600.0 if per == "s" else budgets.steps_per_hour
    if per == "request" and math.isfinite(clock := pace(captures)):
        steps_per_hour = 3600.0 * clock
    concerned = [
        budget
        for budget in budgets.budgets
        if (not budget.systems or system in budget.systems)
        and (budget.per_step is None or per != "s")
    ]
    rows: list[BudgetCheck] = []
    for variant in judgement.variants.values():
        runs = list(captures.select(variant=variant.name, instrument="gauges"))
        for budget in concerned:
            checks = (_check_one(budget, g, variant, runs, steps_per_hour) for g in budget.gauges)
            rows += filter(None, checks)
    return Rows(BudgetCheck, rows)


def pace(captures: Captures) -> float:
    """Return the steps per second of the median run, by its clock; NaN for a single reading."""
    traces = [one.trace for one in captures.select(instrument="gauges")]
    steady = [one[one["phase"] == "steady"] for one in traces]
    spans = [(float(np.ptp(one["step"])), float(np.ptp(one["t_s"]))) for one in steady if len(one)]
    return float(np.median([steps / s for steps, s in spans if s > 0] or [np.nan]))


def allowance(gauge: str, text: float | str) -> Budget:
    """Return what a built-in gauge may grow by, such as ``0``, ``"16 B/step"`` or ``"1.5 KiB"``."""
    if gauge not in BUILTIN:
        known = ", ".join(BUILTIN)
        raise BudgetError(f"there is no gauge {_brief(gauge)}; there are: {known}")
    unit = BUILTIN[gauge].unit
    match = _RATE.fullmatch(f"{text:.9f}" if isinstance(text, float) else str(text)[:100])
    sizes = _BYTES if unit == "B" else {unit: 1}
    if match is None or match["unit"] not in ("", *sizes):
        raise BudgetError(f"{gauge}={_brief(text)} is no rate; write 0 or '16 {unit}/step'")
    per_step = float(match["number"]) * sizes.get(match["unit"], 1)
    return Budget(gauge, (gauge,), per_step=per_step)


def check_allowances(variant: VariantVerdict, allowances: Iterable[Budget]) -> AllowanceCheck:
    """Check what each gauge may grow by; without allowances, no gauge may grow."""
    allowed = {b.gauges[0]: b.per_step or 0.0 for b in allowances}
    allowed = allowed or {one.gauge: 0.0 for one in variant.gauges}
    texts: dict[Outcome, list[str]] = {"broken": [], "inconclusive": [], "holds": []}
    for gauge, per_step in allowed.items():
        verdict = variant.gauge(gauge)
        if verdict is None:
            texts["inconclusive"].append(f"{gauge} was not read")
        else:
            outcome, text = _check_allowance(verdict, per_step)
            texts[outcome].append(text)
    if "run" in variant.symptoms:
        texts["broken"].append("the process does not end by itself")
    return AllowanceCheck(*(tuple(lines) for lines in texts.values()))


def _check_allowance(verdict: GaugeVerdict, per_step: float) -> tuple[Outcome, str]:
    # With 0, a gauge must neither leak nor be deferred. Above 0, the whole 95 % CI of its rate must
    # lie at or below the allowance.
    allowed = formatting.rate(per_step, verdict.unit) if per_step else "none"
    rate = f"{wording.rate(verdict)} {wording.interval(verdict)}"
    text = f"{verdict.gauge} {verdict.verdict} {rate}, allowed {allowed}"
    if verdict.is_gc_deferred or verdict.verdict == "deferred":
        return "broken", f"{text}; {wording.deferred(verdict)}"
    if verdict.verdict == UNDECIDED:
        return "inconclusive", f"{verdict.gauge}: {verdict.reason}"
    if verdict.is_leak and (verdict.low > per_step or not per_step):
        return "broken", text
    if per_step and verdict.high > per_step:
        return "inconclusive", f"{text}: more runs or steps would decide"
    limit = wording.detection_limit(verdict)
    return "holds", f"{verdict.gauge} {verdict.verdict}, detection limit {limit}"


def _check_one(
    budget: Budget, gauge: str, variant: VariantVerdict, runs: list[Capture], steps_per_hour: float
) -> BudgetCheck | None:
    """Return the check of one gauge; None if it was not read."""
    if budget.per_hour is None and budget.per_step is None:
        values = [_reading(budget, gauge, run) for run in runs]
        known = [value for value in values if not math.isnan(value)]
        if not known:
            return None
        allowed = next(one for one in (budget.at_most, budget.spread) if one is not None)
        rate = high = max(known)
        unit = "s" if budget.at_most is not None and gauge.endswith("_s") else ""
        text = f"worst of {len(known)} runs"
    else:
        verdict, is_hourly = variant.gauge(gauge), budget.per_hour is not None
        if verdict is None:
            return None
        allowed = (budget.per_hour if is_hourly else budget.per_step) or 0.0
        scaled = verdict.scaled(steps_per_hour, "h") if is_hourly else verdict
        unit, text = f"{scaled.unit}/{scaled.per}", ""
        rate, high = (scaled.per_step, scaled.high) if verdict.is_leak else (0.0, 0.0)
        if not verdict.is_leak:
            limit = formatting.amount(scaled.detection_limit, unit)
            text = f"no proven growth; detection limit {limit}"
        elif is_hourly and verdict.per_step > 0:
            steps = formatting.several(verdict.per)
            text = f"limit reached at {allowed / verdict.per_step:,.0f} {steps} per hour"
    holds, source = bool(rate <= allowed), budget.source
    return BudgetCheck(
        variant.name, budget.name, gauge, allowed, rate, high, unit, holds, text, source
    )


def _reading(budget: Budget, gauge: str, run: Capture) -> float:
    """Return a run's time, share of a core, highest reading, or spread; NaN without one."""
    if budget.spread is not None:
        if gauge not in run.trace:
            return math.nan
        values = run.trace.loc[run.trace["phase"] == "steady", gauge].dropna().to_numpy(dtype=float)
        is_positive = len(values) > 0 and values.min() > 0
        return float(values.max() / values.min() - 1) if is_positive else math.nan
    if run.manifest.steady_s < budget.lasting_s:
        return math.nan
    is_share = gauge == "cpu_share"
    limit = Limit("cpu_s", per_second=1) if is_share else Limit(gauge, at_most=0)
    values = limits.readings(limit, run)
    return float(np.nanmax(values)) if np.isfinite(values).any() else math.nan


def _parse(file: Path) -> dict[str, Any]:
    name = _brief(file.name, quote="")
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # a pipe would be waited for
            raise BudgetError(f"{name} is not a regular file; give a TOML file")
        with file.open("rb") as stream:
            text = stream.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            most = f"{_MAX_BYTES // 1024} KiB"
            raise BudgetError(f"{name} is larger than {most}; is it a budget file?")
        content = tomllib.loads(text.decode("utf-8"))
    except OSError as error:
        raise BudgetError(f"cannot read the budgets in {name}: {error.strerror}") from None
    except RecursionError:
        raise BudgetError(f"{name} is no TOML: it is nested too deeply") from None
    except ValueError as error:  # no TOML, no UTF-8, a number of thousands of digits
        raise BudgetError(f"{name} is no TOML: {_brief(error, quote='')}") from None
    if unknown := sorted(set(content) - {"steps_per_hour", "budget"}):
        names = _brief(", ".join(unknown), quote="")
        raise BudgetError(f"{name} has {names}; it may have steps_per_hour, budget")
    return content


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BudgetError(f"{where} must be a table, not {_brief(value)}")
    return value


def _budget(name: str, table: Mapping[str, Any]) -> Budget | None:
    """Return one budget of a file; None if it is switched off."""
    values = dict(table)
    is_off = values.pop("off", False)
    known = {*names_of(Budget)} - {"name"}
    if unknown := sorted(set(values) - known):
        names, allowed = _brief(", ".join(unknown), quote=""), ", ".join(sorted(known))
        raise BudgetError(f"the budget {_brief(name)} has {names}; it may have {allowed}")
    if is_off:
        return None
    for key in ("gauges", "systems"):
        value = values.get(key, [])
        if not isinstance(value, (str, list)):
            raise BudgetError(f"the budget {_brief(name)}: {key} must be a list of names")
        values[key] = (value,) if isinstance(value, str) else tuple(value)
    return Budget(name=name, **values)


def _number(value: Any, what: str) -> float:
    with suppress(OverflowError):  # hexadecimal numbers may have any length
        if not isinstance(value, bool) and isinstance(value, (int, float)) and math.isfinite(value):
            return float(value)
    raise BudgetError(f"{what} must be a number, not {_brief(value)}")


def _brief(value: object, quote: str = "'") -> str:
    """Return what an error quotes of a file: one printable line of at most 60 characters."""
    try:
        text = str(value)
    except (ValueError, RecursionError):  # too long a number, or nested too deeply
        text = type(value).__name__
    text = text if len(text) <= 60 else f"{text[:59]}…"
    return f"{quote}{''.join(c if c.isprintable() else '?' for c in text)}{quote}"
