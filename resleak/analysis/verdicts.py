"""Join all evidence of one scenario: a verdict per variant, and the outcome of claim and fix."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

import pandas as pd

from resleak import formatting
from resleak.analysis import growth, handle_origins, known_verdicts, limits, stacks, wording
from resleak.analysis.causes.find import causes_of
from resleak.analysis.causes.model import Causes
from resleak.analysis.diagnosis import Diagnosis, classify
from resleak.analysis.gauge_verdict import GaugeVerdict, by_gauge
from resleak.analysis.handle_origins import Origin
from resleak.analysis.inspection import Culprits, inspected, unmeasured, without_filling
from resleak.analysis.limits import LimitVerdict, Scaling
from resleak.analysis.rows import SCHEMA_VERSION, Rows, plain
from resleak.analysis.stacks.site import Site
from resleak.captures.frames import Captures, gauges_of, traces
from resleak.errors import StoreError
from resleak.workload.verdict_words import (
    BROKEN,
    CLEAN,
    CONSTRUCTED,
    HANGS,
    ORDER,
    SCALES,
    UNDECIDED,
)

_STOPPED = ("hung", "deadline", "memory")
_SITES = 10

#: Gauge, limit's gauge or ``run``, to the words that were measured of it.
Symptoms = dict[str, set[str]]


@dataclass(repr=False)
class VariantVerdict(formatting.Shown):
    """The verdict on one variant, with its evidence.

    `limits` and `scaling` are of what its file declares, `sites` and `origins` empty where not
    recorded. `exits` has how each run ended, `culprits` what blocks its steps or its end, `found`
    what leaks, where, why and how badly.
    """

    name: str
    gauges: Rows[GaugeVerdict]
    limits: Rows[LimitVerdict]
    scaling: Rows[Scaling]
    sites: Rows[Site]
    origins: Rows[Origin]
    exits: list[dict[str, Any]]
    evidence: set[str]
    expect: Mapping[str, str] = field(default_factory=dict)
    culprits: Culprits = field(default_factory=Culprits)
    found: Causes = field(default_factory=Causes)

    @cached_property
    def symptoms(self) -> Symptoms:
        """Gauge, limit's gauge or ``run`` to what is wrong with it."""
        words: Symptoms = {}
        for gauge in self.gauges:
            words.setdefault(gauge.gauge, set()).update(gauge.symptoms)
        for limit in self.broken_limits:
            words.setdefault(limit.gauge, set()).add(BROKEN)
        for cost in self.scaling:
            words.setdefault(cost.gauge, set()).update({cost.verdict} & {SCALES})
        if any(one["status"] in _STOPPED for one in self.exits):
            words["run"] = {HANGS}
        return {name: wrong for name, wrong in words.items() if wrong}

    @property
    def broken_limits(self) -> list[LimitVerdict]:
        """The limits that a run broke."""
        return [limit for limit in self.limits if limit.holds is False]

    @cached_property
    def because(self) -> list[str]:
        """The causes of the symptoms, one sentence each."""
        return self._causes(self.symptoms)

    @property
    def obstacles(self) -> list[str]:
        """The causes of what hangs or breaks a limit; `found` has those of what grows."""
        others = {name: words - {"leak", "deferred"} for name, words in self.symptoms.items()}
        return self._causes({name: words for name, words in others.items() if words})

    def _causes(self, symptoms: Symptoms) -> list[str]:
        """Return them after a limit that ended the load, and before what was often printed."""
        times = {one.gauge for one in self.broken_limits if one.unit == "s"}
        of_steps = times - {"exit_s", "cleanup_s"}
        reached = sorted(one["limit"] for one in self.exits if one.get("limit"))[:1]
        lines = [line for one in self.exits for line in one.get("printed", ())]
        codes = [one["code"] for one in self.exits if one["status"] == "crashed"]
        return [
            *(f"a limit ended the load: {one}; what came before is judged" for one in reached),
            *(f"after the load the process {formatting.ending(code)}" for code in codes[:1]),
            *self.culprits.sentences(symptoms, timed=bool(of_steps)),
            *{line.partition(": ")[2]: f"printed {line}" for line in lines}.values(),
        ]

    @cached_property
    def undecided(self) -> set[str]:
        """The gauges that are evidence here and came out inconclusive."""
        judged: list[GaugeVerdict | Scaling] = [*self.gauges, *self.scaling]
        return {one.gauge for one in judged if one.verdict == UNDECIDED} & self.evidence

    @cached_property
    def verdict(self) -> str:
        """The worst word that applies."""
        words = set().union(*self.symptoms.values())
        words |= {UNDECIDED} if self.undecided else set()
        words |= CLEAN & {one.verdict for one in self.gauges}
        return next((word for word in ORDER if word in words), UNDECIDED)

    @cached_property
    def diagnoses(self) -> list[Diagnosis]:
        """The kinds of growth, leaks first."""
        return classify(self.gauges)

    @property
    def as_declared(self) -> bool:
        """True if the scenario's file declares what was measured."""
        declared = _parsed(self.expect)
        if not declared:
            return not self.symptoms and not self.undecided
        counted = {k: v for k, v in self.symptoms.items() if k in self.evidence | set(declared)}
        return counted == declared

    @property
    def agrees(self) -> str:
        """The same in words."""
        return "as declared" if self.as_declared else "differs from what is declared"

    def gauge(self, name: str) -> GaugeVerdict | None:
        """Return the verdict on one gauge; None if it was not read."""
        return by_gauge(self.gauges).get(name)

    def _table(self) -> formatting.Table:
        head = ("gauge", "verdict", "growth rate", "95 % CI", "detection limit")
        rows = [
            (v.gauge, v.verdict, wording.rate(v), wording.interval(v), wording.detection_limit(v))
            for v in self.gauges
        ]
        return formatting.Table(head, rows, f"{self.name}: {self.verdict}, {self.agrees}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; NaN becomes None."""
        gauges = {one.gauge: plain(one) for one in self.gauges}
        for row in gauges.values():
            del row["variant"], row["gauge"]
        answer = {
            "verdict": self.verdict,
            "as_declared": self.as_declared,
            "symptoms": {name: sorted(words) for name, words in self.symptoms.items()},
            "diagnoses": self.diagnoses,
            "gauges": gauges,
            "limits": self.limits,
            "sweeps": self.scaling,
            "sites": self.sites[:_SITES],
            "origins": self.origins,
            "exit": self.exits,
            "because": self.because,
            "causes": [one.to_dict() for one in self.found.causes],
            "balance": self.found.balance,
        }
        return dict(plain(answer))


@dataclass(repr=False)
class ScenarioVerdict:
    """The verdicts on one scenario, as its file declared it; rates are `per` step, s or request."""

    scenario: Mapping[str, Any]
    variants: dict[str, VariantVerdict]
    per: str = "step"

    @property
    def gauges(self) -> Rows[GaugeVerdict]:
        """The verdicts on all gauges of all variants."""
        return Rows(GaugeVerdict, (one for v in self.variants.values() for one in v.gauges))

    @property
    def frame(self) -> pd.DataFrame:
        """The same as a table, one row per variant and gauge."""
        return self.gauges.frame

    @cached_property
    def claim(self) -> dict[str, Any]:
        """The claim with its declared and measured outcome, and the same for its fix."""
        fix = "proposed" if "proposed" in self.variants else "fixed"
        return {
            "seed": self.scenario["seed"],
            "text": self.scenario["claim"],
            "declared": self.scenario["outcome"],
            "measured": self._claim_measured(),
            "fix": {
                "variant": fix if fix in self.variants else None,
                "declared": self.scenario["fix"],
                "measured": self.fix_outcome(fix),
            },
        }

    @property
    def declares(self) -> bool:
        """True if the file declares an expected outcome; a file of steps alone does not."""
        expected = any(variant.expect for variant in self.variants.values())
        return bool(self.scenario["system"] or self.scenario["claim"] or expected)

    @property
    def ok(self) -> bool:
        """True if every variant, the claim and the fix came out as the file declares."""
        pairs = (self.claim, self.claim["fix"])
        outcomes = all(one["declared"] == one["measured"] for one in pairs)
        return all(v.as_declared for v in self.variants.values()) and outcomes

    def _claim_measured(self) -> str | None:
        leaky = self.variants.get("leaky")
        claimed = _parsed(self.scenario["symptoms"])
        if leaky is None or not claimed:
            return None
        if leaky.undecided & set(claimed):
            return UNDECIDED
        is_all = all(words <= leaky.symptoms.get(name, set()) for name, words in claimed.items())
        # A constructed fault needs a part that the claim's document does not describe.
        if is_all and self.scenario["variants"]["leaky"]["origin"] != CONSTRUCTED:
            return "reproduced"
        return "partly" if any(name in leaky.symptoms for name in claimed) else "not reproduced"

    def fix_outcome(self, name: str, beside: str = "leaky") -> str | None:
        """Return the register's word for a variant as a fix of another one; None without a fix."""
        leaky, fix = self.variants.get(beside), self.variants.get(name)
        if leaky is None or fix is None or self.scenario["fix"] is None:
            return None
        if fix.undecided:
            return UNDECIDED
        if not fix.symptoms:
            return "holds"
        return "harmful" if _is_worse(fix, leaky) else "insufficient"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "scenario": self.scenario["name"],
            "title": self.scenario["title"],
            "variants": {name: v.to_dict() for name, v in self.variants.items()},
            "claim": self.claim,
            "ok": self.ok,
            "per": self.per,
        }

    def sentence(self, variant: str) -> str:
        """Return the verdict on a variant with its numbers, in one sentence."""
        one, numbers = self.variants[variant], "; ".join(self._measured(variant))
        verdict = f"{variant}: {one.verdict}" + (f" ({numbers})" if numbers else "")
        return "; ".join([verdict, *one.because])

    def why(self, variant: str) -> str:
        """Return the numbers and causes of a variant's symptoms; empty if there are none."""
        return "; ".join([*self._measured(variant), *self.variants[variant].because])

    def _measured(self, variant: str) -> list[str]:
        one = self.variants[variant]
        leaks = [
            wording.short(gauge.readable) + (f", opened at {gauge.origin}" if gauge.origin else "")
            for gauge in one.gauges
            if gauge.is_leak and gauge.gauge in one.evidence
        ]
        others = {name: sorted(words - {"leak"}) for name, words in one.symptoms.items()}
        return leaks + [f"{name} {' and '.join(words)}" for name, words in others.items() if words]

    def __str__(self) -> str:
        return "\n".join(self.sentence(name) for name in self.variants)

    def __repr__(self) -> str:
        return "\n".join([self._title, str(self), self._outcome()]).strip()

    def _repr_html_(self) -> str:
        rows = [(name, v.verdict, self.why(name), v.agrees) for name, v in self.variants.items()]
        head = ("variant", "verdict", "measured", "declared")
        return formatting.Table(head, rows, self._title, self._outcome()).html()

    @property
    def _title(self) -> str:
        return f"{self.scenario['name']}: {self.scenario['title']}"

    def _outcome(self) -> str:
        claim, fix = self.claim, self.claim["fix"]
        sentences = [f"Claim: {claim['measured']}."] if claim["measured"] else []
        sentences += [f"Its fix, {fix['variant']}: {fix['measured']}."] if fix["measured"] else []
        return " ".join(sentences)


def _parsed(declared: Mapping[str, str]) -> Symptoms:
    """Return the expected words of each gauge."""
    return {name: {w.strip() for w in words.split(",")} for name, words in declared.items()}


def _evidence_of(scenario: Mapping[str, Any], verdicts: Rows[GaugeVerdict]) -> set[str]:
    """Return the gauges that decide here; for a file that names no gauges, all of them."""
    if not scenario["gauges"] and not scenario["claim"]:
        return {*(one.gauge for one in verdicts), "run"}
    own = {gauge["name"] for gauge in scenario["own_gauges"]}
    limited = {one["gauge"] for one in [*scenario["limits"], *scenario["sweeps"]]}
    return {*scenario["gauges"], scenario["control"], "run"} | own | limited


def judge(captures: Captures, control: Captures | None = None) -> ScenarioVerdict:
    """Judge the captures of one scenario.

    Parameters
    ----------
    captures : Captures
        All runs of its variants, with the gauges and, if there are any, with memray.
    control : Captures, optional
        Runs of ``control/do_nothing`` on the same machine: they raise the noise floors.

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
        listed = f"{len(names)} scenarios: {', '.join(names)}"
        raise StoreError(f"these are captures of {listed}; judge one")
    if control is None and (verdict := known_verdicts.of(captures)):
        return cast(ScenarioVerdict, verdict)
    measured = captures.select(instrument="gauges")
    gauges = gauges_of(measured)
    if control is not None:
        gauges = growth.calibrated(gauges, traces(control))
    verdicts = growth.judge(traces(measured), gauges)
    scenario = captures[0].manifest.scenario.to_json()
    evidence = _evidence_of(scenario, verdicts)
    variants = {}
    for name in measured.variants:
        of_variant = [one for one in verdicts if one.variant == name]
        variants[name] = _judge_variant(captures.select(variant=name), of_variant, evidence)
    return ScenarioVerdict(scenario, variants, measured[0].per)


def _judge_variant(
    captures: Captures, gauges: list[GaugeVerdict], evidence: set[str]
) -> VariantVerdict:
    measured, profiled = captures.select(instrument="gauges"), captures.select(instrument="memray")
    scenario, name = measured[0].manifest.scenario.to_json(), measured[0].variant
    culprits = inspected(captures)
    if not scenario["gauges"] and not scenario["claim"]:  # it has steps alone
        gauges = [*without_filling(gauges, culprits.still_filling(captures))]
    unknown = [*unmeasured(measured)]
    gauges = [*gauges, *unknown]
    evidence = evidence | {one.gauge for one in unknown}
    origins = handle_origins.origins(captures, gauges)
    places = handle_origins.first_places(origins)
    placed = Rows(GaugeVerdict, (replace(o, origin=places.get(o.gauge, "")) for o in gauges))
    texts = stacks.sources(captures)
    sites = Rows.of(Site, stacks.sites(profiled) if profiled else ())
    grown = (replace(s, source=texts.get((s.file, s.line), "")) for s in sites if not s.is_ours)
    sites = Rows(Site, grown)
    return VariantVerdict(
        name=name,
        gauges=placed,
        limits=limits.check(measured),
        scaling=limits.check_sweeps(measured),
        sites=sites,
        origins=origins,
        exits=[c.exit.to_json() for c in measured],
        evidence=evidence,
        expect=scenario["variants"].get(name, {}).get("expect", {}),
        culprits=culprits,
        found=causes_of(captures, placed, origins, sites, culprits, texts),
    )


def _is_worse(fix: VariantVerdict, leaky: VariantVerdict) -> bool:
    """Return whether it has a new symptom, leaks faster, or breaks a limit by half more."""
    for name, words in fix.symptoms.items():
        if name in fix.evidence:
            if words - leaky.symptoms.get(name, set()):
                return True
            after, before = fix.gauge(name), leaky.gauge(name)
            if after and before and after.low > 1.1 * before.high:
                return True
    worst = {one.limit: abs(one.worst) for one in leaky.broken_limits}
    return any(abs(one.worst) > 1.5 * worst.get(one.limit, math.inf) for one in fix.broken_limits)
