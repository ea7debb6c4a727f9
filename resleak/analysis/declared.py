"""The declarations of a scenario's file: deciding gauges and expected symptoms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from resleak.analysis.gauge_verdict import GaugeVerdict
from resleak.workload.verdict_words import CONSTRUCTED


def evidence_of(scenario: Mapping[str, Any], verdicts: Iterable[GaugeVerdict]) -> set[str]:
    """Return the gauges that decide here; for a file that names no gauges, all of them."""
    if declares_nothing(scenario):
        return {*(one.gauge for one in verdicts), "run"}
    own = {gauge["name"] for gauge in scenario["own_gauges"]}
    limited = {one["gauge"] for one in [*scenario["limits"], *scenario["sweeps"]]}
    return {*scenario["gauges"], scenario["control"], "run"} | own | limited


def declares_nothing(scenario: Mapping[str, Any]) -> bool:
    """Return whether a file has steps alone, and no gauges or claim."""
    return not scenario["gauges"] and not scenario["claim"]


def is_constructed(scenario: Mapping[str, Any]) -> bool:
    """Return whether the fault needs a part that the claim's document does not describe."""
    return bool(scenario["variants"]["leaky"]["origin"] == CONSTRUCTED)


def parsed(declared: Mapping[str, str]) -> dict[str, set[str]]:
    """Return the expected words of each gauge."""
    return {name: {w.strip() for w in words.split(",")} for name, words in declared.items()}
