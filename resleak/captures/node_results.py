"""Results of Node checks: the original language's answer, stored beside a scenario's captures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    """Counts by variant from one Node check.

    Attributes
    ----------
    node : str
        Version of Node, such as ``v20.20.2``.
    summary : str
        The counts in one sentence.
    outcome, fix : str or None
        The register's words for the claim and for the document's fix, where the check decides them.
    variants : mapping of str to mapping of str to float
        Each count by its name, by variant.
    readings : mapping of str to str
        Outcomes of another reading of the document, which decide nothing, by variant.
    row : mapping of str to str, or None
        The register's row where no scenario in Python declares it: ``seed``, ``claim``,
        ``condition``, ``claimed_by``, ``origin``, ``fix_origin``, ``language``.
    """

    node: str
    summary: str
    outcome: str | None
    fix: str | None
    variants: Mapping[str, Mapping[str, float]]
    row: Mapping[str, str] | None = None
    readings: Mapping[str, str] = field(default_factory=dict)


def parse(text: str, where: str) -> NodeResult:
    """Return the result that a check printed.

    Raises
    ------
    StoreError
        If it is not JSON of the expected shape.
    """
    try:
        value = json.loads(text)
        result = NodeResult(**value)
    except (ValueError, TypeError, RecursionError) as error:
        raise StoreError(f"{where} is not the result of a Node check: {error}") from None
    if problem := _problem(result):
        raise StoreError(f"{where} is not the result of a Node check: {problem}")
    return result


def read(folder: Path) -> NodeResult | None:
    """Return the stored result in a scenario's folder of captures, or None.

    Raises
    ------
    StoreError
        If the file is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", errors="replace") as file:
        text = file.read(_LONGEST + 1)
    if len(text) > _LONGEST:
        raise StoreError(f"{path} is longer than {_LONGEST} bytes; run the Node checks again")
    return parse(text, str(path))


def below(folder: Path) -> dict[str, NodeResult]:
    """Return the stored results at or below a folder, by scenario.

    Raises
    ------
    StoreError
        If a file is damaged.
    """
    folders = (
        sorted(path.parent.resolve() for path in folder.rglob(NAME)) if folder.is_dir() else []
    )
    results = {f"{one.parent.name}/{one.name}": read(one) for one in folders}
    return {name: result for name, result in results.items() if result is not None}


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
    if not isinstance(result.variants, dict) or not all(map(_is_counts, result.variants.values())):
        return "variants are not counts by name"
    return ""


def _is_counts(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(count, (int, float)) and not isinstance(count, bool) for count in value.values()
    )
