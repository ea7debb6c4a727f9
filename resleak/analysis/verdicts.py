"""Join all the evidence of one scenario: a verdict a variant, and what became of claim and fix."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import pandas as pd

from resleak import formatting
from resleak.analysis import (
    diagnosis,
    growth,
    handle_origins,
    known_verdicts,
    limits,
    scaling,
    stacks,
)
from resleak.analysis.inspection import Culprits, inspected
from resleak.captures.frames import Captures, gauges_of, traces
from resleak.errors import StoreError
from resleak.workload.scenario import BROKEN, HANGS, SCALES

#: From worst to best; the first that applies is the variant's verdict.
ORDER = ("leak", HANGS, BROKEN, SCALES, "deferred", "inconclusive", "plateau", "flat")
_UNDECIDED = "inconclusive"
_STOPPED = ("hung", "deadline", "memory")
_SITES = 10

#: Gauge, limit's gauge or ``run``, to the words that were measured of it.
Symptoms = dict[str, set[str]]


@dataclass(repr=False)
class VariantVerdict:
    """All that was found of one variant.

    Attributes
    ----------
    name, verdict : str
        The verdict is the worst that applies, in the order of `ORDER`.
    gauges : DataFrame
        As `growth.judge` gives them, with ``origin``: where what leaks was opened, if it
        is a handle and that is known.
    limits : DataFrame
        As `resleak.analysis.limits.check` gives them.
    sweeps : DataFrame
        As `resleak.analysis.scaling.check` gives them.
    sites : DataFrame
        As `resleak.sites` gives them; empty without a memory profile.
    origins : DataFrame
        As `handle_origins.origins` gives them; empty where no handles were followed.
    exits : list of dict
        How each run ended.
    culprits : Culprits
        Who keeps it alive, blocks it and holds what it leaks; empty if it was not inspected.
    symptoms : dict of str to set of str
        What is wrong with it: empty for a clean variant.
    """

    name: str
    gauges: pd.DataFrame
    limits: pd.DataFrame
    sweeps: pd.DataFrame
    sites: pd.DataFrame
    origins: pd.DataFrame
    exits: list[dict[str, Any]]
    evidence: set[str]
    expect: Mapping[str, str] = field(default_factory=dict)
    culprits: Culprits = field(default_factory=Culprits)

    @cached_property
    def symptoms(self) -> Symptoms:
        """Gauge, limit's gauge or ``run`` to what is wrong with it."""
        found: Symptoms = {}
        for row in records(self.gauges):
            found.setdefault(row["gauge"], set()).update(_words(row))
        for row in records(self.limits[self.limits["holds"].eq(False)]):
            found.setdefault(row["gauge"], set()).add(BROKEN)
        for name in self.sweeps.loc[self.sweeps["verdict"] == SCALES, "gauge"]:
            found.setdefault(name, set()).add(SCALES)
        if any(one["status"] in _STOPPED for one in self.exits):
            found["run"] = {HANGS}
        return {name: words for name, words in found.items() if words}

    @property
    def because(self) -> list[str]:
        """Who is to blame for the symptoms, one sentence each."""
        broken = self.limits[self.limits["holds"].eq(False)]
        timed = bool(broken["unit"].eq("s").any())
        return self.culprits.sentences(self.symptoms, timed=timed)

    @property
    def undecided(self) -> set[str]:
        """The gauges that are evidence here and came out inconclusive."""
        tables = (self.gauges, self.sweeps)
        named = {name for t in tables for name in t.loc[t["verdict"] == _UNDECIDED, "gauge"]}
        return named & self.evidence

    @property
    def verdict(self) -> str:
        """The worst word that applies."""
        words = set().union(*self.symptoms.values())
        words |= {_UNDECIDED} if self.undecided else set()
        clean = set(self.gauges["verdict"]) & {"plateau", "flat"}
        return next((word for word in ORDER if word in words | clean), _UNDECIDED)

    @cached_property
    def diagnoses(self) -> list[diagnosis.Diagnosis]:
        """Of what kind the growth is, leaks first."""
        return diagnosis.classify(self.gauges)

    @property
    def as_declared(self) -> bool:
        """Whether what was measured is what the scenario's file declares."""
        declared = _parsed(self.expect)
        if not declared:
            return not self.symptoms and not self.undecided
        counted = {k: v for k, v in self.symptoms.items() if k in self.evidence | set(declared)}
        return counted == declared

    @property
    def agrees(self) -> str:
        """Whether that is what the scenario's file declares, in words."""
        return "as declared" if self.as_declared else "differs from what is declared"

    def __repr__(self) -> str:
        return formatting.table_text(f"{self.name}: {self.verdict}, {self.agrees}", self._told())

    def _repr_html_(self) -> str:
        head = ("gauge", "verdict", "per step", "smallest detectable")
        return formatting.table_html(
            f"{self.name}: {self.verdict}, {self.agrees}", head, self._told()
        )

    def _told(self) -> list[tuple[str, ...]]:
        return [
            (
                row["gauge"],
                row["verdict"],
                formatting.rate(row["per_step"], row["unit"]),
                formatting.rate(row["smallest_detectable"], row["unit"]),
            )
            for row in records(self.gauges)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; NaN becomes None."""
        columns = [c for c in self.gauges.columns if c not in ("variant", "gauge")]
        gauges = self.gauges.set_index("gauge")[columns].to_dict(orient="index")
        answer = {
            "verdict": self.verdict,
            "as_declared": self.as_declared,
            "symptoms": {name: sorted(words) for name, words in self.symptoms.items()},
            "diagnoses": [one.to_dict() for one in self.diagnoses],
            "gauges": gauges,
            "limits": records(self.limits),
            "sweeps": records(self.sweeps),
            "sites": records(self.sites.head(_SITES)),
            "origins": records(self.origins),
            "exit": self.exits,
            "because": self.because,
        }
        return {key: plain(value) for key, value in answer.items()}


@dataclass(repr=False)
class ScenarioVerdict:
    """What was found of one scenario.

    Attributes
    ----------
    scenario : dict
        What its file declared.
    variants : dict of str to VariantVerdict
        In the declared order.
    per : str
        What the steps of its rates are: ``step``, ``s`` or ``request``.
    """

    scenario: Mapping[str, Any]
    variants: dict[str, VariantVerdict]
    per: str = "step"

    @property
    def frame(self) -> pd.DataFrame:
        """The verdicts, one row a variant and gauge."""
        return pd.concat([v.gauges for v in self.variants.values()], ignore_index=True)

    @property
    def claim(self) -> dict[str, Any]:
        """The claim with its declared and measured outcome, and the same of the seed's fix."""
        fix = "proposed" if "proposed" in self.variants else "fixed"
        return {
            "seed": self.scenario["seed"],
            "text": self.scenario["claim"],
            "declared": self.scenario["outcome"],
            "measured": self._claim_measured(),
            "fix": {
                "variant": fix if fix in self.variants else None,
                "declared": self.scenario["fix"],
                "measured": self._fix_measured(fix),
            },
        }

    @property
    def declares(self) -> bool:
        """Whether the file says beforehand what comes out; a file of steps alone does not."""
        expected = any(variant.expect for variant in self.variants.values())
        return bool(self.scenario["system"] or self.scenario["claim"] or expected)

    @property
    def ok(self) -> bool:
        """Whether every variant, the claim and the fix came out as the file declares."""
        claim, fix = self.claim, self.claim["fix"]
        outcomes = claim["declared"] == claim["measured"] and fix["declared"] == fix["measured"]
        return all(v.as_declared for v in self.variants.values()) and outcomes

    def _claim_measured(self) -> str | None:
        leaky = self.variants.get("leaky")
        claimed = _parsed(self.scenario["symptoms"])
        if leaky is None or not claimed:
            return None
        if leaky.undecided & set(claimed):
            return _UNDECIDED
        shown = [words <= leaky.symptoms.get(name, set()) for name, words in claimed.items()]
        if all(shown):
            return "reproduced"
        return "partly" if any(name in leaky.symptoms for name in claimed) else "not reproduced"

    def _fix_measured(self, name: str) -> str | None:
        leaky, fix = self.variants.get("leaky"), self.variants.get(name)
        if leaky is None or fix is None or self.scenario["fix"] is None:
            return None
        if fix.undecided:
            return _UNDECIDED
        if not fix.symptoms:
            return "holds"
        return "harmful" if _worse(fix, leaky) else "insufficient"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "scenario": self.scenario["name"],
            "title": self.scenario["title"],
            "variants": {name: v.to_dict() for name, v in self.variants.items()},
            "claim": self.claim,
            "ok": self.ok,
            "per": self.per,
        }

    def sentence(self, variant: str) -> str:
        """Say in one sentence what was found of a variant, with its number."""
        judged, told = self.variants[variant], "; ".join(self._measured(variant))
        found = f"{variant}: {judged.verdict}" + (f" ({told})" if told else "")
        return "; ".join([found, *judged.because])

    def why(self, variant: str) -> str:
        """Say what a variant's verdict rests on, with its numbers; empty if nothing is wrong."""
        return "; ".join([*self._measured(variant), *self.variants[variant].because])

    def _measured(self, variant: str) -> list[str]:
        judged = self.variants[variant]
        told = [
            f"{row['gauge']} leak {formatting.rate(row['per_step'], row['unit'], per)}"
            f" {formatting.interval(row['low'], row['high'])}"
            + (f", opened at {row['origin']}" if row["origin"] else "")
            for row, per in map(self.readable, records(judged.gauges))
            if row["verdict"] == "leak" and row["gauge"] in judged.evidence
        ]
        others = [f"{k} {' and '.join(sorted(v - {'leak'}))}" for k, v in judged.symptoms.items()]
        return told + [one for one in others if not one.endswith(" ")]

    def readable(self, row: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """Return a gauge's row with its rates as people say them, and per what: hours for time."""
        if self.per != "s":
            return dict(row), self.per
        return {**row, **{key: 3600 * row[key] for key in growth.RATES}}, "h"

    def __str__(self) -> str:
        return "\n".join(self.sentence(name) for name in self.variants)

    def __repr__(self) -> str:
        return "\n".join([self._title, str(self), self._outcome()]).strip()

    def _repr_html_(self) -> str:
        rows = [(name, v.verdict, self.why(name), v.agrees) for name, v in self.variants.items()]
        head = ("variant", "verdict", "measured", "declared")
        return formatting.table_html(self._title, head, rows, self._outcome())

    @property
    def _title(self) -> str:
        return f"{self.scenario['name']}: {self.scenario['title']}"

    def _outcome(self) -> str:
        claim, fix = self.claim, self.claim["fix"]
        told = [f"Claim: {claim['measured']}."] if claim["measured"] else []
        told += [f"Its fix, {fix['variant']}: {fix['measured']}."] if fix["measured"] else []
        return " ".join(told)


def judge(captures: Captures, control: Captures | None = None) -> ScenarioVerdict:
    """Judge the captures of one scenario.

    Parameters
    ----------
    captures : Captures
        All runs of its variants, with the gauges and, if there are any, with memray.
    control : Captures, optional
        Runs of ``control/do_nothing`` on the same machine: what they show is no leak.

    Returns
    -------
    ScenarioVerdict

    Raises
    ------
    StoreError
        If they are of several scenarios, or none has gauges.
    """
    names = sorted({c.scenario for c in captures})
    if len(names) != 1:
        raise StoreError(
            f"these are captures of {len(names)} scenarios: {', '.join(names)}; judge one"
        )
    if control is None and (verdict := known_verdicts.of(captures)):
        return cast(ScenarioVerdict, verdict)
    measured = captures.select(instrument="gauges")
    gauges = gauges_of(measured)
    if control is not None:
        gauges = growth.calibrated(gauges, traces(control))
    frame = growth.judge(traces(measured), gauges)
    scenario = captures[0].manifest.scenario.to_json()
    judged = {
        name: _judge_variant(captures.select(variant=name), frame) for name in measured.variants
    }
    return ScenarioVerdict(scenario, judged, measured[0].per)


def _judge_variant(captures: Captures, frame: pd.DataFrame) -> VariantVerdict:
    measured, profiled = captures.select(instrument="gauges"), captures.select(instrument="memray")
    scenario, name = measured[0].manifest.scenario.to_json(), measured[0].variant
    gauges = frame[frame["variant"] == name].reset_index(drop=True)
    origins = handle_origins.origins(captures, gauges)
    named = handle_origins.named(origins)
    return VariantVerdict(
        name=name,
        gauges=gauges.assign(origin=[named.get(gauge, "") for gauge in gauges["gauge"]]),
        limits=limits.check(measured),
        sweeps=scaling.check(measured),
        sites=stacks.sites(profiled) if profiled else pd.DataFrame(),
        origins=origins,
        exits=[c.exit.to_json() for c in measured],
        evidence=_evidence(scenario, frame),
        expect=scenario["variants"].get(name, {}).get("expect", {}),
        culprits=inspected(captures),
    )


def _evidence(scenario: Mapping[str, Any], frame: pd.DataFrame) -> set[str]:
    """Return what decides here; for a file that names no gauges, all of them."""
    if not scenario["gauges"] and not scenario["claim"]:
        return {*frame["gauge"], "run"}
    own = {gauge["name"] for gauge in scenario["own_gauges"]}
    held = {one["gauge"] for one in [*scenario["limits"], *scenario["sweeps"]]}
    return {*scenario["gauges"], scenario["control"], "run"} | own | held


def _words(row: Mapping[str, Any]) -> set[str]:
    """Return what a gauge's row says is wrong; a leak can also wait for the collector."""
    words = {row["verdict"]} & {"leak", "deferred"}
    return words | {"deferred"} if words and growth.waits(row) else words


def _parsed(declared: Mapping[str, str]) -> Symptoms:
    return {name: {w.strip() for w in words.split(",")} for name, words in declared.items()}


def _worse(fix: VariantVerdict, leaky: VariantVerdict) -> bool:
    """Tell whether a fix shows something that was not there before, or more of what was."""
    relevant = {k: v for k, v in fix.symptoms.items() if k in fix.evidence}
    new = any(words - leaky.symptoms.get(name, set()) for name, words in relevant.items())
    after, before = ({r["gauge"]: r for r in records(v.gauges)} for v in (fix, leaky))
    grown = [name for name in relevant if name in after and name in before]
    faster = any(after[name]["low"] > 1.1 * before[name]["high"] for name in grown)
    return new or faster or _breaks_more(fix.limits, leaky.limits)


def _breaks_more(after: pd.DataFrame, before: pd.DataFrame) -> bool:
    """Tell whether a limit that was broken before is broken by half as much again."""
    was, now = (t[t["holds"].eq(False)].set_index("limit")["worst"].abs() for t in (before, after))
    both = was.index.intersection(now.index)
    return bool((now[both] > 1.5 * was[both]).any())


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a table's rows, each by its columns' names."""
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict(orient="records")]


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it; what is not finite becomes None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
