"""The summary of a report: verdict, number, line and what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from resleak import formatting
from resleak.analysis.causes import text as causes_text
from resleak.figures import cards
from resleak.figures.cards import Card, Curve
from resleak.figures.sentences import answer, code, inline, worst
from resleak.figures.style import order
from resleak.formatting import markdown_text, plain_text
from resleak.workload.verdict_words import GOOD, HOLDS, NOT_REPRODUCED, UNDECIDED

if TYPE_CHECKING:
    from resleak.analysis.verdicts import ScenarioVerdict, VariantVerdict
    from resleak.captures.frames import Capture

#: Advice on a fix by its outcome.
_ADVICE = {
    HOLDS: "Take {}: it holds.",
    "insufficient": "Do not stop at {}: it is not enough.",
    "harmful": "Do not take {}: it does harm of its own.",
}
_GOOD = tuple(f" {word}" for word in GOOD)


@dataclass(frozen=True)
class Finding:
    """The result of one scenario, in Markdown with ``code`` and ``**bold**`` only."""

    name: str
    #: Empty if it would only repeat the name.
    title: str
    #: The verdict, the outcomes of the claim and of its fix.
    verdicts: list[str]
    #: The verdict with its number.
    verdict: str
    #: The blocker or the retaining reference chain; empty if unknown.
    why: str
    todo: str
    #: How much of the growth the causes explain, and the reason of the rest.
    explained: str = ""
    #: One per cause of the variant that the verdict is about, then of the worst one.
    cards: list[Card] = field(default_factory=list)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Finding:
        """Return the finding of these plain values, as of `asdict`."""
        shown = [
            Card(one["title"], one["rows"], one["curve"] and Curve(**one["curve"]))
            for one in values["cards"]
        ]
        return cls(**{**values, "cards": shown})

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Its sentences that are known, each with a label."""
        rows = [("Found", self.verdict), ("Why", self.why), ("To do", self.todo)]
        return [row for row in (*rows, ("Share", self.explained)) if row[1]]


def finding(judgement: ScenarioVerdict, captures: Iterable[Capture] = ()) -> Finding:
    """Return the summary of one scenario's verdict, with the curves of its captures."""
    scenario, claim = judgement.scenario, judgement.claim
    variant = judgement.variants[worst(judgement)]
    words = [variant.verdict, *([f"claim {claim['measured']}"] if claim["measured"] else [])]
    fix = claim["fix"]
    words += [f"{fix['variant']} {fix['measured']}"] if fix["measured"] else []
    shown = dict.fromkeys((order(judgement.variants)[0], variant.name))
    told = cards.cards([judgement.variants[name] for name in shown], captures)
    because = "; ".join(variant.obstacles if told else variant.because)
    why = f"{code(variant.name)} {because}." if because else ""
    sentences = (answer(judgement).text, why, _todo(judgement, variant))
    accounts = [line.rstrip(".") for line in causes_text.accounts(variant.found)]
    explained = "; ".join(accounts).removeprefix("explained: ")
    title = scenario["title"] if scenario["title"] != scenario["name"] else ""
    return Finding(scenario["name"], title, words, *sentences, explained, told)


def _todo(judgement: ScenarioVerdict, variant: VariantVerdict) -> str:
    fix, variants = judgement.claim["fix"], judgement.variants
    if variant.verdict == UNDECIDED:
        name = judgement.scenario["name"]
        longer = formatting.command("resleak", "capture", name, "--profile", "full")
        return f"Run longer: {code(longer)}, then judge again."
    if not any(one.symptoms for one in variants.values()):
        return "Nothing to fix; keep it as a regression test."
    is_absent = judgement.claim["measured"] == NOT_REPRODUCED
    other = f"; the verdict on {code(variant.name)} is {variant.verdict}"
    sentences = [f"The claim was not reproduced as written{other}."] if is_absent else []
    if fix["measured"] in _ADVICE:
        sentences.append(_ADVICE[fix["measured"]].format(code(fix["variant"])))
    is_clean = "fixed" in variants and not variants["fixed"].symptoms
    if is_clean and (fix["variant"] != "fixed" or not sentences):
        sentences.append("`fixed` is clean: take it.")
    # Where there are causes, each card says what to change.
    advice = "Find what opens it, and the path on which it is not closed."
    return " ".join(sentences) or ("" if variant.found.causes else advice)


def html(findings: Iterable[Finding]) -> str:
    """Return findings as HTML: one block each, with everything in them escaped."""
    blocks = []
    for one in findings:
        chips = ""
        for word in one.verdicts:
            kind = "good" if f" {word}".endswith(_GOOD) else "bad"
            chips += f'<span class="chip {kind}">{escape(word)}</span>'
        rows = "".join(f"<dt>{label}</dt><dd>{inline(text)}</dd>" for label, text in one.rows)
        head = f"<h3><code>{escape(one.name)}</code> {chips}</h3>" if one.name else chips
        title = f"<p>{inline(one.title)}</p>" if one.title else ""
        boxes = cards.html(one.cards)
        blocks.append(f'<div class="finding">{head}{title}<dl>{rows}</dl>{boxes}</div>')
    return "".join(blocks)


def markdown(title: str, lead: str, findings: Iterable[Finding], facts: Mapping[str, str]) -> str:
    """Return findings as Markdown for an issue; `facts` say how they were measured."""
    blocks = [f"## {markdown_text(title)}", plain_text(lead)]
    for one in findings:
        name = f"{markdown_text(code(one.name))}: " if one.name else ""
        blocks.append(f"### {name}{markdown_text(', '.join(one.verdicts))}")
        blocks.append(markdown_text(one.title))
        blocks.append("\n".join(f"- {label}: {markdown_text(text)}" for label, text in one.rows))
        for card in one.cards:
            lines = [f"**{markdown_text(card.title)}**", ""]
            for label, text, source in card.rows:
                quoted = f" {markdown_text(code(source))}" if source else ""
                lines.append(f"- {label}: {markdown_text(text)}{quoted}")
            blocks.append("\n".join(lines))
    blocks.append("\n".join(f"{name}: {markdown_text(text)}  " for name, text in facts.items()))
    return "\n\n".join(block.strip() for block in blocks if block.strip()) + "\n"
