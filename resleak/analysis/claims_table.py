"""The table of claims: each with its outcome, the number it rests on, and its fix."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from resleak import formatting
from resleak.analysis import handle_origins, rows, verdicts, wording
from resleak.analysis.verdicts import ScenarioVerdict, VariantVerdict
from resleak.captures import load, node_results, untrusted
from resleak.captures.frames import Captures
from resleak.captures.node_results import NodeResult
from resleak.errors import StoreError
from resleak.workload.verdict_words import BROKEN, CLAIMANTS, CLEAN, GLYPHS, HANGS

#: What the port came out as where there is none.
NOT_RUN = "not run"
#: The rows of all claims, beside the captures that they were judged from.
REGISTER = "register.json"
_DECLARED = ("seed", "claim", "claimed_by", "condition", "language")
#: Called before each scenario with its name, the number done and the total.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class KeyFigure:
    """The number that an outcome rests on, with its 95 % CI; NaN where there is none.

    `kind` is ``rate``, ``held`` (between collections), ``peak``, ``worst`` (reading of a limit),
    ``exponent`` (of a cost), ``exit`` (seconds) or ``none``; `text` is all of it in words.
    """

    gauge: str
    kind: str = "none"
    value: float = np.nan
    low: float = np.nan
    high: float = np.nan
    unit: str = ""
    text: str = "not measured"


def findings(
    captures: Captures,
    progress: Progress = lambda *_: None,
    node: Mapping[str, NodeResult] | None = None,
) -> pd.DataFrame:
    """Judge every scenario; return one row each, in the order of the source documents.

    `readings` has the words for the variants that read the document otherwise; `origin` and
    `fix_origin` say whose code ran. The outcomes of a Node check replace those of the port, which
    `python` keeps. A scenario with a damaged capture is left out with a warning; `StoreError` if
    none is left.
    """
    names = sorted({c.scenario for c in captures.select(instrument="gauges")})
    needed = Captures(c for c in captures if c.instrument != "memray")
    table, problems, checks = list[dict[str, Any]](), list[str](), dict(node or {})
    for done, name in enumerate(names):
        progress(name, done, len(names))
        try:
            row = claim_row(verdicts.judge(needed.select(scenario=name)))
            table.append(_checked(row, checks.pop(name, None)))
        except StoreError as error:
            problems.append(f"left out: {name}: {error}")
    if problems and not table:
        raise StoreError(problems[0])
    for problem in problems:
        warnings.warn(problem, stacklevel=2)
    table += [_node_row(name, check) for name, check in checks.items() if check.row]
    table.sort(key=_source_order)
    return pd.DataFrame(table)


def judged(folder: Path | str, progress: Progress = lambda *_: None) -> pd.DataFrame:
    """Return `findings` of all captures and Node results at or below a folder."""
    captures = load.load(folder)
    return findings(captures, progress, node_results.below(Path(folder)))


def stored(folder: Path | str, progress: Progress = lambda *_: None) -> pd.DataFrame:
    """Return `judged`, and from the register beside the captures what has none here."""
    # A wheel has the register, and only the captures that its notebooks show.
    table, place = judged(folder, progress), Path(folder).resolve()
    files = [path for path in (place / REGISTER, place.parent / REGISTER) if path.is_file()]
    if not files:
        return table
    known, is_whole = set(table["scenario"]), files[0].parent == place
    more: list[dict[Any, Any]] = [
        row
        for row in untrusted.parsed(untrusted.content(files[0], untrusted.JSON_BYTES))
        if row["scenario"] not in known and (is_whole or row["system"] == place.name)
    ]
    more += table.to_dict(orient="records")
    more.sort(key=_source_order)
    return pd.DataFrame(more)


def summary(findings: pd.DataFrame) -> str:
    """Return in sentences how many claims and findings of ours were reproduced, and fixes hold."""
    has_claim = findings["claim"] != ""
    claims, controls = findings[has_claim], findings[~has_claim]
    theirs, ours = (claims[claims["claimed_by"] == who] for who in CLAIMANTS)
    clean = int(controls["outcome"].isin(CLEAN).sum())
    judged, fixes, found = (
        words[words != ""] for words in (theirs["outcome"], theirs["fix"], ours["outcome"])
    )
    counted = formatting.counted
    number = counted(len(judged), "claim")
    sentences = [f"Of {number} of the documents {_counts(judged)}."] if len(judged) else []
    origins = theirs.loc[theirs["outcome"] == "reproduced", "origin"].value_counts()
    code = [f"{count} {origin}" for origin, count in origins.items() if origin]
    sentences += [f"Code of those reproduced: {', '.join(code)}."] if code else []
    idle = int((theirs["outcome"].eq("not reproduced") & theirs["fix"].eq("holds")).sum())
    note = f" (for {idle} of those that hold the claim did not reproduce)" if idle else ""
    number = f"{len(fixes)} {'fix' if len(fixes) == 1 else 'fixes'}"
    sentences += [f"Of {number} that they propose {_counts(fixes)}{note}."] if len(fixes) else []
    read = theirs.loc[theirs["fix"] == "holds", "readings"]
    failing = sum(bool({"insufficient", "harmful"} & {*one.values()}) for one in read)
    if failing:
        fail = "fails" if failing == 1 else "fail"
        sentences += [f"Of those that hold {failing} {fail} when read otherwise, as the rows say."]
    number = counted(len(found), "finding")
    sentences += [f"Of {number} of our own {_counts(found)}."] if len(found) else []
    if len(controls):
        number = counted(len(controls), "null control")
        sentences.append(f"Of {number} {clean} came out clean.")
    differs = [str(name) for name in findings.loc[~findings["ok"], "scenario"]]
    sentences += [f"Not as declared: {', '.join(differs)}."] if differs else []
    return " ".join(sentences)


def _counts(outcomes: pd.Series) -> str:
    phrases = {
        "holds": ("holds", "hold"),
        "insufficient": ("is insufficient", "are insufficient"),
        "harmful": ("is harmful", "are harmful"),
    }
    counts = outcomes.value_counts()
    words = [word for word in GLYPHS if word in counts]
    words += [str(word) for word in counts.index if word not in GLYPHS]
    parts = [f"{counts[w]} {phrases.get(w, (w, w))[int(counts[w] != 1)]}" for w in words]
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of `findings` as plain values for JSON; NaN becomes None."""
    return [rows.plain(row) for row in table.to_dict(orient="records")]


def claim_row(judgement: ScenarioVerdict) -> dict[str, Any]:
    """Return the row of one scenario in `findings`."""
    scenario, claim = judgement.scenario, judgement.claim
    first = next(iter(judgement.variants.values()))
    leaky, fix = judgement.variants.get("leaky", first), claim["fix"]
    has_fix = bool(claim["text"] and scenario["fix"] and fix["variant"])
    fixed = judgement.variants.get(fix["variant"]) if has_fix else None
    # The first gauge that the claim names and that shows it; without a claimed fault, a limit's.
    claimed = list(scenario["symptoms"]) or [one["gauge"] for one in scenario["limits"]]
    shown = [name for name in claimed if name in leaky.symptoms]
    # Of a control, a gauge that has the verdict which is shown beside it.
    alike = [one.gauge for one in leaky.gauges if one.verdict == leaky.verdict]
    watched = sorted([*scenario["gauges"], *alike], key=lambda name: name not in alike)
    gauge = [*shown, *claimed, *watched, "run"][0]
    origins = {name: one["origin"] for name, one in scenario["variants"].items()}
    outcome = claim["measured"] or ("" if claim["text"] else first.verdict)
    return {
        "scenario": scenario["name"],
        **{name: scenario[name] for name in ("system", "title", *_DECLARED)},
        "origin": origins.get(leaky.name, "") if claim["measured"] else "",
        "outcome": outcome,
        "figure": asdict(key_figure(leaky, gauge)) if outcome else None,
        "opened_at": handle_origins.first_places(leaky.origins).get(gauge, ""),
        "fix_variant": fix["variant"] if has_fix else "",
        "fix_origin": origins.get(fix["variant"], "") if has_fix else "",
        "fix": fix["measured"] or "",
        "fix_figure": asdict(key_figure(fixed, *_of_fix(fixed, leaky, gauge))) if fixed else None,
        "readings": _readings(judgement, [gauge, *claimed, *scenario["gauges"], "heap"]),
        "python": "",
        "node": "",
        "ok": judgement.ok,
    }


def _readings(judgement: ScenarioVerdict, watched: Sequence[str]) -> dict[str, str]:
    """Return the verdict on each ``leaky_…`` and the outcome of each ``proposed_…``."""
    words: dict[str, str] = {}
    if not (judgement.claim["text"] or judgement.scenario["fix"]):
        return words
    own, *others = watched
    for name, variant in judgement.variants.items():
        kind, _, reading = name.partition("_")
        if kind == "leaky" and reading:
            words[name] = variant.verdict
            by = [one for one, wrong in variant.symptoms.items() if variant.verdict in wrong]
            if by and own not in by and variant.verdict != HANGS:  # not by the row's own gauge
                words[name] += f" ({next((one for one in others if one in by), by[0])})"
        elif kind == "proposed" and reading:
            twin = f"leaky_{reading}"
            fault = twin if twin in judgement.variants else "leaky"
            words[name] = judgement.fix_outcome(name, fault) or variant.verdict
    return words


def _checked(row: dict[str, Any], check: NodeResult | None) -> dict[str, Any]:
    """Add the counts of a Node check, whose words decide where it has some."""
    if check is None:
        return row
    outcome, fix = check.outcome or row["outcome"], check.fix or row["fix"]
    readings = row["readings"] | {f"{name} in Node": word for name, word in check.readings.items()}
    decided = {"outcome": outcome, "fix": fix, "node": check.summary, "readings": readings}
    if (outcome, fix) != (row["outcome"], row["fix"]):
        words = filter(None, (row["outcome"], row["fix"] and f"its fix {row['fix']}"))
        decided["python"] = ", ".join(words)
        for name in ("figure", "fix_figure"):
            if row[name]:
                decided[name] = {**row[name], "text": f"Python: {row[name]['text']}"}
    return {**row, **decided}


def _node_row(name: str, check: NodeResult) -> dict[str, Any]:
    """Return the row of a check that no scenario in Python stands beside."""
    declared = check.row or {}
    return {
        "scenario": name,
        "system": name.partition("/")[0],
        "title": declared["claim"],
        **{key: declared[key] for key in (*_DECLARED, "origin")},
        "outcome": check.outcome or "",
        "figure": None,
        "opened_at": "",
        "fix_variant": "proposed" if check.fix else "",
        "fix_origin": declared["fix_origin"],
        "fix": check.fix or "",
        "fix_figure": None,
        "readings": dict(check.readings),
        "python": NOT_RUN,
        "node": check.summary,
        "ok": True,
    }


def key_figure(variant: VariantVerdict, gauge: str, word: str = "") -> KeyFigure:
    """Return the number by which a gauge, a limit's or sweep's gauge, or ``run`` is judged."""
    if gauge == "run":
        seconds = [one["exit_s"] for one in variant.exits if one["exit_s"] is not None]
        longest = max(seconds, default=np.nan)
        text = f"ends {formatting.amount(longest, 's')} after its load"
        if HANGS in variant.symptoms.get("run", ()):
            stuck = {one["phase"] for one in variant.exits if one["status"] != "exited"}
            text = f"hangs {'at exit' if stuck & {'teardown', 'exit'} else 'under load'}"
        return KeyFigure("run", "exit", longest, unit="s", text=text)
    for cost in variant.scaling:
        if cost.gauge == gauge:
            text = f"{gauge} ∝ {cost.over}^{wording.exponent(cost)}"
            return KeyFigure(gauge, "exponent", cost.exponent, cost.low, cost.high, "", text)
    verdict = variant.gauge(gauge)
    limits = [limit for limit in variant.limits if limit.gauge == gauge]
    is_broken = BROKEN in variant.symptoms.get(gauge, ())
    if limits and (is_broken or verdict is None):
        limit = min(limits, key=lambda limit: limit.holds is True)
        scaled = limit.unit if limit.unit in ("B", "s") else ""
        measured, bound = (formatting.amount(n, scaled) for n in (limit.worst, limit.allowed))
        # "lag_s ≤ 0.05 in 50% of steps": sign and meaning of the bound, without its number.
        _, sign, _, meaning = limit.limit.split(" ", maxsplit=3)
        meant = "" if meaning in ("always", "at the end") else f" {meaning}"
        allowed = f"{sign} {bound}" if sign != "=" else bound
        text = f"{gauge} {measured}, allowed {allowed}{meant}"
        return KeyFigure(gauge, "worst", limit.worst, unit=limit.unit, text=text)
    if verdict is None:
        return KeyFigure(gauge)
    unit, text = verdict.unit, wording.short(verdict, word)
    match word or verdict.verdict:
        case "deferred":
            return KeyFigure(gauge, "held", verdict.held_between_collections, unit=unit, text=text)
        case "plateau":
            return KeyFigure(gauge, "peak", verdict.peak, unit=unit, text=text)
    return KeyFigure(gauge, "rate", verdict.per_step, verdict.low, verdict.high, unit, text)


def _of_fix(fix: VariantVerdict, leaky: VariantVerdict, gauge: str) -> tuple[str, str]:
    """Return gauge and verdict to quote of a fix: a new symptom, else one that remains."""
    wrong = {name: words for name, words in fix.symptoms.items() if name in fix.evidence}
    for name, words in wrong.items():
        for word in sorted(words - leaky.symptoms.get(name, set())):
            return name, word
    return (gauge if gauge in wrong else next(iter(wrong), gauge)), ""


def _source_order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return a sort key by source document and number; scenarios without one come last."""
    document, rest = row["seed"][:3], row["seed"][3:].strip()
    numbers = [int(n) for n in re.findall(r"\d+", rest)]
    numbered = bool(re.match(r"#|\d|fix ", rest))
    return (not document, document, not numbered, not numbers, numbers, rest, row["scenario"])


def cases(notebooks: Path) -> dict[str, str]:
    """Return the case file of each system, such as ``23_arc.ipynb``; they are numbered 20 to 29."""
    return {path.stem.partition("_")[2]: path.name for path in sorted(notebooks.glob("2?_*.ipynb"))}
