"""All claims in one table: what became of each, by which number, and what became of its fix."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from resleak import formatting
from resleak.analysis import handle_origins, verdicts
from resleak.analysis.verdicts import ScenarioVerdict, VariantVerdict
from resleak.captures import frames, load
from resleak.captures.frames import Captures
from resleak.errors import StoreError
from resleak.workload.scenario import BROKEN, HANGS

#: A glyph for each outcome, so that a column can be read down at a glance, without colour too.
GLYPHS = {
    "reproduced": "●",
    "partly": "◐",
    "not reproduced": "○",
    "holds": "✓",
    "insufficient": "△",
    "harmful": "✗",
    "flat": "✓",
    "plateau": "✓",
}
#: Called before each scenario with its name, how many are done, and how many there are.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Figure:
    """The number that an answer rests on.

    Attributes
    ----------
    gauge : str
        What was read.
    kind : str
        ``rate`` (per step), ``held`` (between collections), ``peak``, ``worst`` (the reading
        closest to breaking a limit), ``exponent`` (of a cost over a size), ``exit`` (seconds) or
        ``none``.
    value, low, high : float
        The number and its 95 % interval; NaN where there is none.
    unit : str
        Of the number.
    text : str
        All of it in words.
    """

    gauge: str
    kind: str = "none"
    value: float = np.nan
    low: float = np.nan
    high: float = np.nan
    unit: str = ""
    text: str = "not measured"


def findings(captures: Captures, progress: Progress = lambda *_: None) -> pd.DataFrame:
    """Judge every scenario and sum each up in a row.

    Parameters
    ----------
    captures : Captures
        Of any number of scenarios, as `resleak.load` gives them.
    progress : callable, optional
        Called with a scenario's name, the number done and the number there is.

    Returns
    -------
    DataFrame
        One row a scenario: ``scenario system title seed claim outcome figure origin fix_variant fix
        fix_figure ok``, in the order of the seeds. `figure` and `fix_figure` are dictionaries with
        the attributes of `Figure`; `origin` is the line that opened what leaks, if it is a handle;
        for a control, `outcome` is its verdict. A scenario with a damaged capture is left out,
        with a warning.

    Raises
    ------
    StoreError
        If none is left.
    """
    measured = captures.select(instrument="gauges")
    names = sorted(dict.fromkeys(c.scenario for c in measured), key=_place_of(measured))
    needed = Captures(c for c in captures if c.instrument != "memray")
    rows, problems = [], []
    for done, name in enumerate(names):
        progress(name, done, len(names))
        try:
            rows.append(finding(verdicts.judge(needed.select(scenario=name))))
        except StoreError as error:
            problems.append(f"left out: {name}: {error}")
    if problems and not rows:
        raise StoreError(problems[0])
    for problem in problems:
        warnings.warn(problem, stacklevel=2)
    return pd.DataFrame(rows)


def stored(folder: Path | str, progress: Progress = lambda *_: None) -> pd.DataFrame:
    """Return `findings` of all captures at or below a folder."""
    return findings(load.load(folder), progress)


def summary(findings: pd.DataFrame) -> str:
    """Say in two sentences how many claims were reproduced and how many fixes hold."""
    of_claims = findings[findings["claim"] != ""]
    controls = findings[findings["claim"] == ""]
    clean = int(controls["outcome"].isin(["flat", "plateau"]).sum())
    told = [
        f"Of {len(of_claims)} claims {_listed(of_claims['outcome'])}.",
        f"Of their fixes {_listed(of_claims['fix'])}.",
    ]
    told += [f"Of {len(controls)} null controls {clean} came out clean."] if len(controls) else []
    differs = [str(name) for name in findings.loc[~findings["ok"], "scenario"]]
    told += [f"Not as declared: {', '.join(differs)}."] if differs else []
    return " ".join(told)


def _listed(outcomes: pd.Series) -> str:
    counted = outcomes.value_counts()
    parts = [_told(int(counted[key]), key) for key in GLYPHS if key in counted]
    rest = [f"{count} {name}" for name, count in counted.items() if name not in GLYPHS]
    *most, last = [*parts, *rest] or ["none"]
    return f"{', '.join(most)} and {last}" if most else last


def _told(count: int, outcome: str) -> str:
    one, many = {
        "holds": ("holds", "hold"),
        "insufficient": ("is insufficient", "are insufficient"),
        "harmful": ("is harmful", "are harmful"),
    }.get(outcome, (outcome, outcome))
    return f"{count} {one if count == 1 else many}"


def plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of `findings` as plain values for JSON; NaN becomes None."""
    return [verdicts.plain(row) for row in table.to_dict(orient="records")]


def finding(judgement: ScenarioVerdict) -> dict[str, Any]:
    """Sum one scenario up in a row of `findings`."""
    scenario, claim = judgement.scenario, judgement.claim
    first = next(iter(judgement.variants.values()))
    leaky, fix = judgement.variants.get("leaky", first), claim["fix"]
    cure = judgement.variants.get(fix["variant"] or "")
    gauge = _telling(scenario, leaky)
    return {
        "scenario": scenario["name"],
        "system": scenario["system"],
        "title": scenario["title"],
        "seed": scenario["seed"],
        "claim": scenario["claim"],
        "outcome": claim["measured"] or first.verdict,
        "figure": asdict(figure(leaky, gauge)),
        "origin": handle_origins.named(leaky.origins).get(gauge, ""),
        "fix_variant": (fix["variant"] or "") if claim["text"] else "",
        "fix": fix["measured"] or "",
        "fix_figure": asdict(figure(cure, *_of_fix(cure, leaky, gauge))) if cure else None,
        "ok": judgement.ok,
    }


def figure(variant: VariantVerdict, gauge: str, word: str = "") -> Figure:
    """Return the number by which one gauge of one variant is judged.

    Parameters
    ----------
    variant : VariantVerdict
        Of ``resleak.judge(…).variants``.
    gauge : str
        A gauge, a limit's or a sweep's gauge, or ``run``.
    word : str
        Which of several verdicts on a gauge to quote; a leak can also wait for the collector.
    """
    if gauge == "run":
        return _ending(variant)
    sweeps = variant.sweeps[variant.sweeps["gauge"] == gauge]
    if len(sweeps):
        return _scaling(sweeps.iloc[0])
    limits = variant.limits[variant.limits["gauge"] == gauge]
    rows = variant.gauges[variant.gauges["gauge"] == gauge]
    broken = BROKEN in variant.symptoms.get(gauge, ())
    if len(limits) and (broken or not len(rows)):
        worst = limits.sort_values("holds", key=lambda held: held.eq(True)).iloc[0]
        return _worst(worst)
    return _growth(rows.iloc[0], word) if len(rows) else Figure(gauge)


def _telling(scenario: Mapping[str, Any], leaky: VariantVerdict) -> str:
    """Return the gauge to quote: what the claim names first, and shows if any of it does."""
    claimed = list(scenario["symptoms"])
    shown = [name for name in claimed if name in leaky.symptoms]
    return next(iter([*shown, *claimed, *scenario["gauges"]]), "run")


def _of_fix(fix: VariantVerdict, leaky: VariantVerdict, gauge: str) -> tuple[str, str]:
    """Return gauge and verdict to quote of a fix: what is new and wrong, else what was wrong."""
    wrong = {name: words for name, words in fix.symptoms.items() if name in fix.evidence}
    for name, words in wrong.items():
        for word in sorted(words - leaky.symptoms.get(name, set())):
            return name, word
    return (gauge if gauge in wrong else next(iter(wrong), gauge)), ""


def _ending(variant: VariantVerdict) -> Figure:
    hangs = HANGS in variant.symptoms.get("run", ())
    seconds = [one["exit_s"] for one in variant.exits if one["exit_s"] is not None]
    longest = max(seconds, default=np.nan)
    stuck = {one["phase"] for one in variant.exits if one["status"] != "exited"}
    where = "at exit" if stuck & {"teardown", "exit"} else "under load"
    text = f"hangs {where}" if hangs else f"ends {formatting.amount(longest, 's')} after its load"
    return Figure("run", "exit", longest, unit="s", text=text)


def _scaling(row: pd.Series) -> Figure:
    low, high = float(row["low"]), float(row["high"])
    power = formatting.number(float(row["exponent"]))
    text = f"{row['gauge']} ∝ {row['over']}^{power} {formatting.interval(low, high)}"
    return Figure(str(row["gauge"]), "exponent", float(row["exponent"]), low, high, "", text)


def _worst(row: pd.Series) -> Figure:
    gauge, worst, unit = str(row["gauge"]), float(row["worst"]), str(row["unit"])
    scaled = unit if unit in ("B", "s") else ""
    measured, bound = (formatting.amount(float(row[key]), scaled) for key in ("worst", "allowed"))
    # "lag_s ≤ 0.05 in 50% of steps": how the bound is meant, without the bound itself.
    sign, _, meant = str(row["limit"]).partition(" ")[2].partition(" ")
    _, _, meant = meant.partition(" ")
    plain = {"always": "", "at the end": ""}.get(meant, f" {meant}")
    allowed = f"{sign} {bound}" if sign != "=" else bound
    text = f"{gauge} {measured}, allowed {allowed}{plain}"
    return Figure(gauge, "worst", worst, unit=unit, text=text)


def _growth(row: pd.Series, word: str) -> Figure:
    gauge, unit, verdict = str(row["gauge"]), str(row["unit"]), word or str(row["verdict"])
    rate, low, high = (float(row[key]) for key in ("per_step", "low", "high"))
    if verdict == "leak":
        text = f"{gauge} {formatting.rate(rate, unit)} {_bounds(low, high, unit)}"
        return Figure(gauge, "rate", rate, low, high, unit, text)
    if verdict == "deferred":
        held = float(row["held_between_collections"])
        text = f"{gauge}: {formatting.amount(held, unit)} wait for the collector"
        return Figure(gauge, "held", held, unit=unit, text=text)
    if verdict == "plateau":
        peak = float(row["peak"])
        return Figure(
            gauge, "peak", peak, unit=unit, text=f"{gauge} ≤ {formatting.amount(peak, unit)}"
        )
    smallest = formatting.rate(float(row["smallest_detectable"]), unit)
    seen = f", none above {smallest}" if verdict == "flat" else ""
    return Figure(gauge, "rate", rate, low, high, unit, f"{gauge} {verdict}{seen}")


def _bounds(low: float, high: float, unit: str) -> str:
    if unit != "B":
        return formatting.interval(low, high)
    return f"[{formatting.amount(low, unit)}, {formatting.amount(high, unit)}]"


def _place_of(captures: Iterable[frames.Capture]) -> Callable[[str], tuple[Any, ...]]:
    """Return a key that puts scenarios in the order of the seeds; those without one come last."""
    seeds = {c.scenario: c.manifest.scenario.seed for c in captures}

    def key(name: str) -> tuple[Any, ...]:
        document, rest = seeds[name][:3], seeds[name][3:].strip()
        numbers = [int(n) for n in re.findall(r"\d+", rest)]
        numbered = bool(re.match(r"#|\d|fix ", rest))
        return (not document, document, not numbered, not numbers, numbers, rest, name)

    return key


def cases(notebooks: Path) -> dict[str, str]:
    """Return the name of each system's case file, such as ``23_arc.ipynb``, by system.

    Parameters
    ----------
    notebooks : Path
        The folder of the notebooks; case files are numbered from 20 to 29.
    """
    found = sorted(notebooks.glob("2?_*.ipynb"))
    return {path.stem.partition("_")[2]: path.name for path in found}
