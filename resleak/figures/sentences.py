"""Sentences with their numbers, for notebooks that must fit any scenario."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from resleak import formatting
from resleak.analysis.stacks import in_words
from resleak.analysis.verdicts import ORDER
from resleak.figures.html_table import bounds
from resleak.figures.style import order
from resleak.workload.scenario import BROKEN, HANGS, SCALES

if TYPE_CHECKING:
    import pandas as pd

    from resleak.analysis.verdicts import ScenarioVerdict, VariantVerdict

_BOLD, _CODE = re.compile(r"\*\*(.+?)\*\*"), re.compile(r"`(.+?)`")


@dataclass(frozen=True)
class Prose:
    """Sentences in Markdown, shown as such by a notebook.

    Parameters
    ----------
    text : str
        Markdown.
    """

    text: str

    def __repr__(self) -> str:
        return self.text

    def __str__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self.text


def about(judgement: ScenarioVerdict) -> Prose:
    """Say what the scenario's file says of itself: title, where the claim is from, the rest.

    Parameters
    ----------
    judgement : ScenarioVerdict
        Of `resleak.judge`.
    """
    scenario = judgement.scenario
    source = f"Seed {scenario['seed']}: “{scenario['claim']}”" if scenario["claim"] else ""
    title = f"**{scenario['title']}**" if scenario["title"] not in ("", scenario["name"]) else ""
    _, _, rest = scenario["doc"].partition("\n")
    told = "\n\n".join(part for part in (title, source, rest.strip()) if part)
    return Prose(_without_tags(told))


def _without_tags(markdown: str) -> str:
    """Return Markdown in which a tag is text; in code it is text anyway."""
    return re.sub(r"(`[^`]*`)|<(?=[a-zA-Z/!?])", lambda m: m[1] or "\\<", markdown)


def answer(judgement: ScenarioVerdict) -> Prose:
    """Say in two sentences whether it leaks, how fast, and what the cure does.

    Parameters
    ----------
    judgement : ScenarioVerdict
        Of `resleak.judge`.
    """
    names = order(list(judgement.variants))
    first, gauge = judgement.variants[names[0]], _telling(judgement.variants[names[0]])
    cure = judgement.variants["fixed"] if "fixed" in names[1:] else None
    told = [_found(first, gauge), *([_found(cure, gauge)] if cure else [])]
    clean = first if not first.symptoms else cure
    if gauge and clean is not None and not clean.symptoms:
        told.append(_seen(clean, gauge))
    others = [judgement.variants[name] for name in names if name not in (first.name, "fixed")]
    if others:
        verdicts = ", ".join(f"`{other.name}` {other.verdict}" for other in others)
        told.append(f"The other variants: {verdicts}.")
    return Prose(" ".join(told))


def worst(judgement: ScenarioVerdict) -> str:
    """Return the name of the variant with the worst verdict, the first of several.

    Parameters
    ----------
    judgement : ScenarioVerdict
        Of `resleak.judge`.
    """
    names = order(list(judgement.variants))
    return min(names, key=lambda name: ORDER.index(judgement.variants[name].verdict))


def expectation(judgement: ScenarioVerdict) -> Prose:
    """Say what the file declares of each variant, and name the control.

    Parameters
    ----------
    judgement : ScenarioVerdict
        Of `resleak.judge`.
    """
    if not judgement.declares:
        return Prose("Nothing is declared beforehand: every gauge counts, and must stay flat.")
    told = [
        f"`{name}`: " + (", ".join(f"`{k}` {w}" for k, w in variant.expect.items()) or "clean")
        for name, variant in judgement.variants.items()
    ]
    control = f"The control is `{judgement.scenario['control']}`: it must stay flat in all of them."
    return Prose(f"Declared beforehand: {'; '.join(told)}. {control}")


def kinds(judgement: ScenarioVerdict) -> Prose:
    """Say of what kind the growth of each variant is, and what to look at next.

    Parameters
    ----------
    judgement : ScenarioVerdict
        Of `resleak.judge`.
    """
    told = [
        f"- {code(name)}: {one}"
        for name, variant in judgement.variants.items()
        for one in variant.diagnoses
    ]
    return Prose("\n".join(told) or "Nothing grows.")


def guilty(variant: VariantVerdict) -> Prose:
    """Name the line that makes a variant grow, with its rate and its share.

    Parameters
    ----------
    variant : VariantVerdict
        Of ``resleak.judge(…).variants``.
    """
    return Prose(f"{code(variant.name)}: {accused(variant.sites)}")


def accused(sites: pd.DataFrame) -> Prose:
    """Name the first line of a ranking: its rate, what it surely is, and its share of all growth.

    Parameters
    ----------
    sites : DataFrame
        As `resleak.sites` returns it. Rates are per ``.attrs["per"]``, a step unless told.

    Returns
    -------
    Prose
        A sentence; another if more of what grew has no line one could look at.
    """
    return Prose(in_words(sites, code))


def code(text: object) -> str:
    """Write a name, which may come from someone else's capture, as code in Markdown."""
    return "`" + " ".join(str(text).replace("`", "'").split()) + "`"


def ends(judgement: ScenarioVerdict) -> Prose:
    """Say at which level each variant ended, in the gauge that tells most.

    Parameters
    ----------
    judgement : ScenarioVerdict
        Of `resleak.judge`.
    """
    names = order(list(judgement.variants))
    gauge = _telling(judgement.variants[names[0]])
    if not gauge:
        return Prose("No gauge was read: the runs ended before their first step.")
    told = [_end(judgement.variants[name], gauge) for name in names]
    return Prose(f"`{gauge}` ended: {'; '.join(told)}.")


def _end(variant: VariantVerdict, gauge: str) -> str:
    row = _row(variant, gauge)
    end, peak = (formatting.amount(row[key], str(row["unit"])) for key in ("at_end", "peak"))
    return f"`{variant.name}` at {end} (peak {peak})"


def _telling(variant: VariantVerdict) -> str:
    """Return the gauge that the verdict rests on: evidence before the rest."""
    rows = variant.gauges
    if rows.empty:
        return ""
    if variant.verdict in set(rows["verdict"]):
        rows = rows[rows["verdict"] == variant.verdict]
    evident = rows[rows["gauge"].isin(variant.evidence)]
    return str((evident if len(evident) else rows)["gauge"].iloc[0])


def _row(variant: VariantVerdict, gauge: str) -> dict[Hashable, Any]:
    rows = variant.gauges.to_dict("records")
    return next((row for row in rows if row["gauge"] == gauge), rows[0])


def _found(variant: VariantVerdict, gauge: str) -> str:
    name = f"`{variant.name}`"
    if variant.verdict == HANGS:
        return f"**{name} hangs**: its process did not end by itself."
    if variant.verdict == BROKEN:
        limit = variant.limits[variant.limits["holds"].eq(False)].iloc[0]
        worst = formatting.number(float(limit["worst"]))
        return f"**{name} breaks a limit**: {limit['limit']}, but the worst reading is {worst}."
    if variant.verdict == SCALES:
        return _scaled(name, variant)
    if not gauge:
        return f"**{name} is undecided**: no gauge was read."
    if variant.verdict in ("flat", "plateau"):
        return f"**{name} does not leak**: `{gauge}` is {_row(variant, gauge)['verdict']}."
    return _grown(name, _row(variant, _telling(variant)))


def _scaled(name: str, variant: VariantVerdict) -> str:
    row = variant.sweeps[variant.sweeps["verdict"] == SCALES].iloc[0]
    power, between = (
        formatting.number(row["exponent"]),
        formatting.interval(row["low"], row["high"]),
    )
    return (
        f"**{name} does not scale**: `{row['gauge']}` grows with `{row['over']}` to the power of "
        f"{power}, 95 % interval {between}."
    )


def _grown(name: str, row: Mapping[Hashable, Any]) -> str:
    gauge, unit = f"`{row['gauge']}`", str(row["unit"])
    if row["verdict"] == "leak":
        between = bounds(row["low"], row["high"], unit)
        rate = formatting.rate(row["per_step"], unit, row["per"])
        return f"**{name} leaks**: {gauge} grows by {rate}, 95 % interval {between}."
    if row["verdict"] == "deferred":
        held = formatting.amount(row["held_between_collections"], unit)
        return f"**{name} holds on for a while**: {held} in {gauge} wait for each collection."
    return f"**{name} is undecided**: {gauge}: {row['reason']}."


def _seen(variant: VariantVerdict, gauge: str) -> str:
    row = _row(variant, gauge)
    smallest = formatting.rate(row["smallest_detectable"], str(row["unit"]), str(row["per"]))
    return f"A leak of {smallest} in `{row['gauge']}` would have been seen."


def inline(markdown: str) -> str:
    """Return a sentence with ``code`` and ``**bold**`` as HTML; all else in it is text."""
    text = _CODE.sub(_as_code, escape(markdown))
    return _BOLD.sub(r"<b>\1</b>", text)


def _as_code(found: re.Match[str]) -> str:
    return f"<code>{found[1].replace('*', '&#42;')}</code>"
