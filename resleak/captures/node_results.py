"""Results of Node checks: the original language's answer, stored beside a scenario's captures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from resleak.errors import StoreError
from resleak.workload.verdict_words import FIX_OUTCOMES, OUTCOMES

NAME = "node.json"
#: Longest result that is read, in bytes: a check counts a few things in a few variants.
_LONGEST = 65_536
_LONGEST_TEXT = 500
#: What a check says of its row where no scenario in Python declares it.
_ROW = {"seed", "claim", "condition", "claimed_by", "origin", "fix_origin", "language"}


@dataclass(frozen=True)
class NodeResult:
    """Counts by variant from one Node check, and the register's words where it decides them."""

    node: str
    summary: str
    outcome: str | None
    fix: str | None
    variants: Mapping[str, Mapping[str, float]]
    #: The row of the register where no scenario in Python declares it.
    row: Mapping[str, str] | None = None
    #: Outcomes of another reading of the document, by variant, which decide nothing.
    readings: Mapping[str, str] = field(default_factory=dict)


def parse(text: str, where: str) -> NodeResult:
    """Return the result that a check printed, or raise StoreError."""
    try:
        value = json.loads(text)
        result = NodeResult(**value)
    except (ValueError, TypeError, RecursionError) as error:
        raise StoreError(f"{where} is not the result of a Node check: {error}") from None
    if problem := _problem(result):
        raise StoreError(f"{where} is not the result of a Node check: {problem}")
    return result


def read(folder: Path) -> NodeResult | None:
    """Return the stored result in a scenario's folder of captures, or None."""
    path = folder / NAME
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", errors="replace") as file:
        text = file.read(_LONGEST + 1)
    if len(text) > _LONGEST:
        raise StoreError(f"{path} is longer than {_LONGEST} bytes; run the Node checks again")
    return parse(text, str(path))


def below(folder: Path) -> dict[str, NodeResult]:
    """Return the stored results at or below a folder, by scenario."""
    paths = folder.rglob(NAME) if folder.is_dir() else ()
    folders = sorted(path.parent.resolve() for path in paths)
    results = {f"{one.parent.name}/{one.name}": read(one) for one in folders}
    return {name: result for name, result in results.items() if result}


def _problem(result: NodeResult) -> str:
    row = {} if result.row is None else result.row
    if not isinstance(row, dict) or row.keys() not in (set(), _ROW):
        return f"row does not have exactly {', '.join(sorted(_ROW))}"
    for name, text in {"node": result.node, "summary": result.summary, **row}.items():
        if not isinstance(text, str) or len(text) > _LONGEST_TEXT or not text.isprintable():
            return f"{name} is not a short text"
    if result.outcome not in (None, *OUTCOMES) or result.fix not in (None, *FIX_OUTCOMES):
        return f"it says {result.outcome!r} and {result.fix!r}"
    if not isinstance(result.readings, dict) or {*result.readings.values()} - {*FIX_OUTCOMES}:
        return "readings are not outcomes of a fix by name"
    variants = result.variants.values() if isinstance(result.variants, dict) else [None]
    # True and False are integers, too.
    if not all(isinstance(v, dict) and {*map(type, v.values())} <= {int, float} for v in variants):
        return "variants are not counts by name"
    return ""
