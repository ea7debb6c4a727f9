"""Sentences with their numbers, for notebooks that must fit any scenario."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from resleak import formatting
from resleak.analysis import wording
from resleak.figures.style import order
from resleak.workload.verdict_words import BROKEN, CLEAN, DEFERRED, HANGS, ORDER, SCALES

if TYPE_CHECKING:
    from resleak.analysis.gauge_verdict import GaugeVerdict
    from resleak.analysis.verdicts import ScenarioVerdict, VariantVerdict

#: The variant of somebody's own code, which is called by the name of the workload.
OWN = "workload"
NOTHING_OPEN = "No descriptor, socket, thread or process leaks."
_BOLD, _CODE = re.compile(r"\*\*(.+?)\*\*"), re.compile(r"`(.+?)`")
#: In Markdown: an escaped character, code on one line, other backticks, what may begin a tag.
_TOKENS = re.compile(
    r"\\.|(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`)|(?P<open>`+)|(?P<tag><(?=[a-zA-Z/!?]))"
)
_TAGS = re.compile(r"\\.|(?P<tag><(?=[a-zA-Z/!?]))")


@dataclass(frozen=True)
class Prose:
    """Sentences in Markdown, shown as such by a notebook."""

    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self.text


def about(judgement: ScenarioVerdict) -> Prose:
    """Return what the scenario's file says: title, claim with its source, description."""
    scenario = judgement.scenario
    title = f"**{scenario['title']}**" if scenario["title"] not in ("", scenario["name"]) else ""
    return described(scenario, title)


def described(scenario: Mapping[str, Any], title: str, variants: str = "") -> Prose:
    """Return a title, a scenario's claim with its source, variants and its description."""
    claim = f"Source {scenario['seed']}: “{scenario['claim']}”" if scenario["claim"] else ""
    _, _, rest = scenario["doc"].partition("\n")
    text = "\n\n".join(part for part in (title, claim, variants, rest.strip()) if part)
    return Prose(re.sub(r".+(?:\n.+)*", _without_tags, "\n".join(text.splitlines())))


def _without_tags(paragraph: re.Match[str]) -> str:
    """Return a paragraph whose tags are shown as text; in code they are text anyway."""
    # What is code is certain only where it ends on the line on which it begins.
    is_certain = not any(token["open"] for token in _TOKENS.finditer(paragraph[0]))
    tokens = _TOKENS if is_certain else _TAGS
    return tokens.sub(lambda m: f"\\{m[0]}" if m["tag"] else m[0], paragraph[0])


def called(judgement: ScenarioVerdict, variant: str) -> str:
    """Return the name of a variant, or for somebody's own code that of the workload."""
    return str(judgement.scenario["name"]) if variant == OWN else variant


def titled(judgement: ScenarioVerdict, variant: str) -> str:
    """Return scenario and variant for a title, or the workload's name alone."""
    return ", ".join(dict.fromkeys([judgement.scenario["name"], called(judgement, variant)]))


def answer(judgement: ScenarioVerdict) -> Prose:
    """Say whether it leaks, how fast, and what the fix does."""
    names = order(judgement.variants)
    first = judgement.variants[names[0]]
    gauge = _key_gauge(first)
    fixed = judgement.variants["fixed"] if "fixed" in names[1:] else None
    sentences = [_verdict(first, gauge, called(judgement, first.name))]
    sentences += [_verdict(fixed, gauge, fixed.name)] if fixed else []
    clean = first if not first.symptoms else fixed
    if gauge and clean is not None and not clean.symptoms:
        one = _gauge(clean, gauge)
        limit = wording.detection_limit(one)
        sentences.append(f"The detection limit of {code(one.gauge)} is {limit}.")
    others = [judgement.variants[name] for name in names if name not in (first.name, "fixed")]
    if others:
        verdicts = ", ".join(f"{code(other.name)} {other.verdict}" for other in others)
        sentences.append(f"The other variants: {verdicts}.")
    return Prose(" ".join(sentences))


def worst(judgement: ScenarioVerdict) -> str:
    """Return the name of the variant with the worst verdict, the first of several."""
    names = order(judgement.variants)
    return min(names, key=lambda name: ORDER.index(judgement.variants[name].verdict))


def expectation(judgement: ScenarioVerdict) -> Prose:
    """Say what the file declares of each variant, and name the control."""
    if not judgement.declares:
        return Prose("Nothing is declared beforehand: every gauge counts, and must stay flat.")
    declared = "; ".join(
        f"{code(name)}: "
        + (", ".join(f"{code(k)} {w}" for k, w in variant.expect.items()) or "clean")
        for name, variant in judgement.variants.items()
    )
    control = code(judgement.scenario["control"])
    must = f"The control is {control}: it must stay flat in all of them."
    return Prose(f"Declared beforehand: {declared}. {must}")


def kinds(judgement: ScenarioVerdict) -> Prose:
    """List the kinds of growth of each variant that has no card, and what to look at next."""
    lines = [
        f"- {code(called(judgement, name))}: {one}"
        for name, variant in judgement.variants.items()
        for one in variant.diagnoses
        if not (one.leak and variant.found.causes)
    ]
    has_cards = any(variant.found.causes for variant in judgement.variants.values())
    nothing = "No growth besides that of the cards." if has_cards else "Nothing grows."
    return Prose("\n".join(lines) or nothing)


def guilty(variant: VariantVerdict) -> Prose:
    """Name the line that makes a variant grow, with its rate and its share."""
    return _of(variant, wording.largest_site(variant.sites, "step", code))


def opened(variant: VariantVerdict) -> Prose:
    """Name the lines that opened what leaks, for each gauge of resources."""
    parts = []
    for name in dict.fromkeys(origin.gauge for origin in variant.origins):
        origins = [origin for origin in variant.origins if origin.gauge == name]
        places = []
        for one in origins:
            place = f"{code(f'{one.file}:{one.line}')} in {code(one.function)}"
            share = f" ({formatting.share(one.share)})" if len(origins) > 1 else ""
            places.append((place if one.file else "an unknown place") + share)
        verdict = variant.gauge(name)
        rate = formatting.number(sum(origin.per_step for origin in origins))
        word = verdict.verdict if verdict else ""
        where = " and ".join(places)
        parts.append(f"{code(name)} {word}, {rate} per step, opened at {where}")
    nothing = NOTHING_OPEN if variant.name == OWN else f"n{NOTHING_OPEN[1:]}"
    return _of(variant, f"{'; '.join(parts)}." if parts else nothing)


def _of(variant: VariantVerdict, sentence: str) -> Prose:
    """Return a sentence about a variant, which is not named if it is somebody's own code."""
    return Prose(sentence if variant.name == OWN else f"{code(variant.name)}: {sentence}")


def code(text: object) -> str:
    """Write a name, which may come from someone else's capture, as code in Markdown."""
    return "`" + " ".join(str(text).replace("`", "'").split()) + "`"


def ends(judgement: ScenarioVerdict) -> Prose:
    """Say where each variant ended, in the key gauge."""
    names = order(judgement.variants)
    gauge = _key_gauge(judgement.variants[names[0]])
    if not gauge:
        return Prose("No gauge was read: the runs ended before their first step.")
    parts = []
    for name in names:
        one = _gauge(judgement.variants[name], gauge)
        end, peak = (formatting.amount(value, one.unit) for value in (one.at_end, one.peak))
        parts.append(f"{code(called(judgement, name))} at {end} (peak {peak})")
    return Prose(f"{code(gauge)} ended: {'; '.join(parts)}.")


def _key_gauge(variant: VariantVerdict) -> str:
    """Return the gauge that the verdict rests on: evidence first, counts of objects last."""
    deciding = [one for one in variant.gauges if one.verdict == variant.verdict]
    ranked = sorted(
        deciding or variant.gauges,
        key=lambda one: (one.gauge not in variant.evidence, one.family == "objects"),
    )
    return ranked[0].gauge if ranked else ""


def _gauge(variant: VariantVerdict, name: str) -> GaugeVerdict:
    return variant.gauge(name) or variant.gauges[0]


def _verdict(variant: VariantVerdict, gauge: str, called: str) -> str:
    name = code(called)
    if variant.verdict == HANGS:
        return f"**{name} hangs**: its process did not end by itself."
    if variant.verdict == BROKEN:
        limit = variant.broken_limits[0]
        worst = formatting.number(limit.worst)
        return f"**{name} breaks a limit**: {limit.limit}, but the worst reading is {worst}."
    if variant.verdict == SCALES:
        cost = next(one for one in variant.scaling if one.verdict == SCALES)
        growth = f"{code(cost.gauge)} grows with {code(cost.over)} to the power of"
        return f"**{name} does not scale**: {growth} {wording.exponent(cost)} (95 % CI)."
    if not gauge:
        return f"**{name} is undecided**: no gauge was read."
    if variant.verdict in CLEAN:
        word = _gauge(variant, gauge).verdict
        outcome = "reached a plateau" if word == "plateau" else f"is {word}"
        return f"**{name} does not leak**: {code(gauge)} {outcome}."
    one = _gauge(variant, _key_gauge(variant))
    if one.is_leak:
        rate, interval = wording.rate(one), wording.interval(one)
        return f"**{name} leaks**: {code(one.gauge)} grows by {rate}, 95 % CI {interval}."
    if one.verdict == DEFERRED:
        return f"**{name} frees late**: {code(one.gauge)}: {wording.deferred(one)}."
    return f"**{name} is undecided**: {code(one.gauge)}: {one.reason}."


def inline(markdown: str) -> str:
    """Return a sentence with ``code`` and ``**bold**`` as HTML; all else in it is text."""
    text = _CODE.sub(lambda m: f"<code>{m[1].replace('*', '&#42;')}</code>", escape(markdown))
    return _BOLD.sub(r"<b>\1</b>", text)
