"""The summary of a report: verdict, number, line and what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from resleak import formatting
from resleak.formatting import markdown_text, plain_text
from resleak.workload.verdict_words import GOOD

if TYPE_CHECKING:
    from resleak.analysis.verdicts import ScenarioVerdict, VariantVerdict


@dataclass(frozen=True)
class Finding:
    """The result of one scenario, in Markdown with ``code`` and ``**bold**`` only."""

    name: str
    title: str
    #: The verdict, the outcomes of the claim and of its fix.
    verdicts: list[str]
    #: The verdict with its number.
    found: str
    #: The line that retains most memory or opens most resources; empty if unknown.
    line: str
    #: The blocker or the retaining reference chain; empty if unknown.
    why: str
    todo: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def finding(judgement: ScenarioVerdict) -> Finding:
    """Return the summary of one scenario's verdict."""
    from resleak.figures import answer, worst

    scenario, claim = judgement.scenario, judgement.claim
    variant = judgement.variants[worst(judgement)]
    words = [variant.verdict, *([f"claim {claim['measured']}"] if claim["measured"] else [])]
    fix = claim["fix"]
    words += [f"{fix['variant']} {fix['measured']}"] if fix["measured"] else []
    return Finding(
        scenario["name"], scenario["title"], words, str(answer(judgement)),
        _line(judgement), _why(variant), _todo(judgement),
    )  # fmt: skip


def _line(judgement: ScenarioVerdict) -> str:
    """Name the lines that open or allocate what is retained."""
    from resleak.analysis import wording
    from resleak.figures import worst
    from resleak.figures.sentences import code

    variant = judgement.variants[worst(judgement)]
    told = [
        f"{code(one.gauge)} opened at {_place(one.origin)}." for one in variant.gauges if one.origin
    ]
    allocated = wording.largest_site(variant.sites, "step", code)
    if not allocated.startswith((wording.NO_PROFILE, wording.NO_LINE)):
        told.append(allocated)
    return f"{code(variant.name)}: {' '.join(told)}" if told else ""


def _why(variant: VariantVerdict) -> str:
    from resleak.figures.sentences import code

    told = "; ".join(variant.because)
    return f"{code(variant.name)} {told}." if told else ""


def _place(origin: str) -> str:
    """Mark up ``FILE:LINE in FUNCTION``."""
    from resleak.figures.sentences import code

    where, _, function = origin.partition(" in ")
    return f"{code(where)} in {code(function)}" if function else code(where)


def _todo(judgement: ScenarioVerdict) -> str:
    from resleak.figures import worst
    from resleak.figures.sentences import code

    name, fix = judgement.scenario["name"], judgement.claim["fix"]
    variant = judgement.variants[worst(judgement)]
    if variant.verdict == "inconclusive":
        longer = formatting.command("resleak", "capture", name, "--profile", "full")
        return f"Run longer: {code(longer)}, then judge again."
    if not any(judged.symptoms for judged in judgement.variants.values()):
        return "Nothing to fix; keep it as a regression test."
    absent = judgement.claim["measured"] == "not reproduced"
    told = ["It does not happen as claimed."] if absent else []
    told += _of_fix(fix["variant"], fix["measured"])
    clean = "fixed" in judgement.variants and not judgement.variants["fixed"].symptoms
    if clean and (fix["variant"] != "fixed" or not told):
        told.append("`fixed` is clean: take it.")
    return " ".join(told) or _look(judgement)


def _of_fix(name: str | None, measured: str | None) -> list[str]:
    told = {
        "holds": f"Take `{name}`: it holds.",
        "insufficient": f"Do not stop at `{name}`: it is not enough.",
        "harmful": f"Do not take `{name}`: it does harm of its own.",
    }
    return [told[measured]] if measured in told else []


def _look(judgement: ScenarioVerdict) -> str:
    if _line(judgement):
        return "Find the path on which what this line makes is not released."
    return "Find what opens it, and the path on which it is not closed."


def html(findings: Iterable[Finding]) -> str:
    """Return findings as HTML: one block each, with everything in them escaped."""
    return "".join(map(_block, findings))


def _block(finding: Finding) -> str:
    from resleak.figures.sentences import inline

    chips = "".join(f'<span class="chip {_kind(w)}">{escape(w)}</span>' for w in finding.verdicts)
    rows = "".join(f"<dt>{name}</dt><dd>{inline(told)}</dd>" for name, told in _told(finding))
    head = f"<h3><code>{escape(finding.name)}</code> {chips}</h3>" if finding.name else chips
    title = f"<p>{inline(finding.title)}</p>" if finding.title not in ("", finding.name) else ""
    return f'<div class="finding">{head}{title}<dl>{rows}</dl></div>'


def _kind(word: str) -> str:
    return "good" if any(word.endswith(f" {good}") or word == good for good in GOOD) else "bad"


def _told(finding: Finding) -> Iterator[tuple[str, str]]:
    yield "Found", finding.found
    if finding.line:
        yield "Line", finding.line
    if finding.why:
        yield "Why", finding.why
    if finding.todo:
        yield "To do", finding.todo


def markdown(title: str, lead: str, findings: Iterable[Finding], made: Mapping[str, str]) -> str:
    """Return findings as Markdown for an issue; `made` says how they were measured."""
    blocks = [f"## {markdown_text(title)}", plain_text(lead)]
    blocks += ["\n".join(_lines(finding)) for finding in findings]
    blocks.append("\n".join(f"{name}: {markdown_text(told)}  " for name, told in made.items()))
    return "\n\n".join(block.strip() for block in blocks if block.strip()) + "\n"


def _lines(finding: Finding) -> Iterator[str]:
    from resleak.figures.sentences import code

    name = f"{markdown_text(code(finding.name))}: " if finding.name else ""
    yield f"### {name}{markdown_text(', '.join(finding.verdicts))}\n"
    if finding.title not in ("", finding.name):
        yield f"{markdown_text(finding.title)}\n"
    yield from (f"- {what}: {markdown_text(told)}" for what, told in _told(finding))
