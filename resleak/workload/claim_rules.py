"""Rules for a row of the register: who claims it, in which language, and under which condition."""

from __future__ import annotations

from collections.abc import Iterator

from resleak.workload.scenario import Scenario, Variant
from resleak.workload.verdict_words import CONSTRUCTED

_NOT_THEIRS = ("ours", CONSTRUCTED)


def problem(scenario: Scenario) -> str:
    """Return what a scenario about a source document lacks, in one phrase; empty if nothing."""
    return next(_problems(scenario), "") if scenario.seed else ""


def deciding_fix(scenario: Scenario) -> Variant | None:
    """Return the variant that decides the verdict on the document's fix."""
    return scenario.variants.get("proposed") or scenario.variants.get("fixed")


def _problems(scenario: Scenario) -> Iterator[str]:
    if not scenario.language:
        yield "needs the language of the system it is about"
    if not scenario.claim:
        return
    if not scenario.condition:
        yield "needs the condition under which it leaks, or under which its fix fails"
    leaky, fix = scenario.variants["leaky"], deciding_fix(scenario)
    if scenario.claimed_by == "document" and leaky.origin == "ours":
        yield "a document's claim needs a leaky variant from its code or words"
    if scenario.condition.startswith(f"{CONSTRUCTED}:") != (leaky.origin == CONSTRUCTED):
        yield "has a condition that begins with 'constructed:' if leaky is, and only then"
    proposed = scenario.variants.get("proposed")
    if proposed and proposed.origin in _NOT_THEIRS:
        yield "proposed is the document's code or words; call another fix fixed"
    if scenario.fix is None:
        if proposed:
            yield "a proposed fix needs a verdict"
        return
    if fix is None or fix.origin in _NOT_THEIRS:
        yield "a fix that the document does not propose gets no verdict"
    elif changed := _load(scenario, fix).items() ^ _load(scenario, leaky).items():
        names = sorted({name for name, _ in changed})
        yield f"{fix.name} has another load than leaky: {', '.join(names)}"


def _load(scenario: Scenario, variant: Variant) -> dict[str, str]:
    """Return the parameters of a variant without those that belong to a fix."""
    params = {**scenario.params, **variant.params}
    return {name: repr(v) for name, v in params.items() if name not in scenario.fix_params}
