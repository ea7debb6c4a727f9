"""What a capture says of itself that no scenario was run for: of what is watched, here or read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from resleak.captures import storage
from resleak.captures.raw import Seen
from resleak.workload.scenario import Scenario


def session() -> str:
    """Return a name for one measurement: captures of two are never mixed."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")


def now() -> str:
    """Return the time as manifests have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def running() -> dict[str, Any]:
    """Return what is known of the end of a process that goes on."""
    return {"status": "running", "phase": "steady", "code": None, "exit_s": None, "stacks": []}


def described(name: str, title: str, variants: Mapping[str, str]) -> dict[str, Any]:
    """Return what a scenario would say: nothing is claimed, every gauge is evidence.

    Parameters
    ----------
    name, title : str
        What the captures are called, and a line for people.
    variants : mapping of str to str
        A line for each variant by its name.
    """
    made = Scenario(stacks=False)
    made.name, made.title = name, title
    for variant in variants:
        made.variant(variant)(_works_by_itself)
    told = made.describe()
    for variant, what in variants.items():
        told["variants"][variant]["what"] = what
    return told


def manifest(scenario: Mapping[str, Any], variant: str, **known: Any) -> dict[str, Any]:
    """Return a manifest of one run with the gauges.

    Parameters
    ----------
    scenario : mapping
        Of `described`.
    variant : str
        One of its variants.
    **known
        What is known besides, such as ``per``, ``steps``, ``phases``, ``exit``.
    """
    return {
        "schema": storage.SCHEMA,
        "status": "complete",
        "session": "",
        "scenario": scenario,
        "variant": variant,
        "instrument": "gauges",
        "per": "step",
        "run": 1,
        "seed": 0,
        "params": {},
        "steps": 0,
        "warmup": 0,
        "block": 1,
        "phases": [],
        "marks": [],
        "exit": running(),
        "versions": {"python": "", "implementation": "", "packages": {}},
        "host": {},
        "git": "",
        "env": {},
        "rlimits": {},
        "missing": [],
        "facts": {},
        **known,
    }


def _works_by_itself() -> None:
    """Stand for a step."""


def manifest_exit(seen: Seen, stacks: list[str], failure: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest's record of how the process ended."""
    stopping = seen.began("teardown")
    return {
        "status": seen.status,
        "phase": seen.phase,
        "code": seen.code,
        "exit_s": None if stopping is None else round(seen.ended_s - stopping, 4),
        "stacks": stacks,
        **failure,
    }
