"""Choices of the panel: scenarios to search, and how one is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from resleak.errors import ScenarioError
from resleak.formatting import command
from resleak.harness.plan import CaptureOptions
from resleak.harness.spawn import describe
from resleak.workload import catalog, resolve
from resleak.workload.verdict_words import BROKEN, HANGS, SCALES

#: A parameter may be set up to so many times what its file declares.
_AT_MOST = 10
#: Words that people use for a kind of fault, by the word that a file declares.
_KINDS = {BROKEN: "broken limit", HANGS: "hang", SCALES: "scaling cost"}

Declared = Mapping[str, Any]


@cache
def everything() -> tuple[Declared, ...]:
    """Return the declarations of all scenarios of the package, by name."""
    return tuple(one.describe() for one in catalog.scan())


def search(query: str) -> list[Declared]:
    """Return the scenarios that contain every word, matches of the name first."""
    words = query.lower().split()
    matches = [one for one in everything() if all(word in _haystack(one) for word in words)]
    return sorted(matches, key=lambda one: not all(word in one["name"] for word in words))


def _haystack(one: Declared) -> str:
    plain = [one[key] or "" for key in ("name", "title", "claim", "seed", "outcome", "fix")]
    named = [*one["gauges"], *(each["gauge"] for each in [*one["limits"], *one["sweeps"]])]
    own = [gauge["name"] for gauge in one["own_gauges"]]
    words = [word for v in one["variants"].values() for word in v["expect"].values()]
    words += one["symptoms"].values()
    kinds = [_KINDS.get(part.strip(), "") for word in words for part in word.split(",")]
    control = [] if one["claim"] else ["control"]
    return " ".join([*plain, *named, *own, *words, *kinds, *control]).lower()


def bounds(default: float, soak: object) -> tuple[float, float]:
    """Return the smallest and the largest value of a parameter that is a number."""
    most = max(abs(default), soak if isinstance(soak, (int, float)) else 0)
    low = -_AT_MOST * most if default < 0 else min(1, default)
    return 0.0 if isinstance(default, float) else low, _AT_MOST * most or 100


@dataclass
class Choice:
    """A scenario to run: what its file declares, its name or path, and how it is measured."""

    declared: Declared
    source: str
    options: CaptureOptions

    @classmethod
    def of(cls, name: str) -> Choice:
        """Return the default choice for a scenario, by name or file; or raise ScenarioError."""
        work = resolve.find(name)
        scenario = next((one for one in everything() if one["name"] == work.name), None)
        if scenario is None or not work.file.is_relative_to(catalog.ROOT):
            scenario = describe(work)["scenario"]  # somebody's own file: not into this process
        source = name if name.endswith(".py") else scenario["name"]
        return cls(scenario, source, CaptureOptions(variants=list(scenario["variants"])))

    @property
    def variants(self) -> list[str]:
        """The chosen variants; raise ScenarioError if there is none."""
        if not (variants := list(self.options.variants or ())):
            raise ScenarioError("no variant is chosen: choose at least one")
        return variants

    @property
    def command(self) -> str:
        """The same choice on the command line."""
        options = self.options
        words = ["resleak", "capture", self.source, "--profile", options.profile]
        if set(self.variants) != set(self.declared["variants"]):
            words += [word for name in self.variants for word in ("--variant", name)]
        for name in ("runs", "steps"):
            words += [f"--{name}", str(amount)] if (amount := getattr(options, name)) else []
        for key, value in (options.params or {}).items():
            words += ["--set", f"{key}={value}"]
        return command(*words)
