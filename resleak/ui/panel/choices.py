"""Choices of the panel: scenarios to search, and parameters with bounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from resleak.errors import ScenarioError
from resleak.formatting import command
from resleak.harness.plan import CaptureOptions, parameter
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


def declared(name: str) -> Declared:
    """Return the declaration of a scenario, by name or file; or raise ScenarioError."""
    found = resolve.find(name)
    ours = next((one for one in everything() if one["name"] == found.name), None)
    if ours is not None and found.file.is_relative_to(catalog.ROOT):
        return ours
    return dict(describe(found)["scenario"])  # somebody's own file: not into this process


def search(query: str, among: Iterable[Declared] | None = None) -> list[Declared]:
    """Return the scenarios that contain every word, matches of the name first."""
    words = query.lower().split()
    found = [one for one in among or everything() if all(word in _haystack(one) for word in words)]
    return sorted(found, key=lambda one: not all(word in one["name"] for word in words))


def _haystack(one: Declared) -> str:
    plain = [one[key] or "" for key in ("name", "title", "claim", "seed", "outcome", "fix")]
    named = [*one["gauges"], *(each["gauge"] for each in [*one["limits"], *one["sweeps"]])]
    own = [gauge["name"] for gauge in one["own_gauges"]]
    words = [word for v in one["variants"].values() for word in v["expect"].values()]
    words += one["symptoms"].values()
    kinds = [_KINDS.get(part.strip(), "") for word in words for part in word.split(",")]
    control = [] if one["claim"] else ["control"]
    return " ".join([*plain, *named, *own, *words, *kinds, *control]).lower()


@dataclass(frozen=True)
class Field:
    """A parameter with its kind and its bounds."""

    name: str
    kind: Literal["flag", "whole", "real", "text", "value"]
    default: Any
    low: float = 0.0
    high: float = 0.0

    def read(self, value: Any) -> Any:
        """Return the value as a run takes it; raise ScenarioError if it is of another kind."""
        return parameter(self.name, self.default, value)


def fields(of: Declared) -> list[Field]:
    """Return the parameters of a scenario in the declared order."""
    return [_field(name, value, of["soak"].get(name)) for name, value in of["params"].items()]


def _field(name: str, default: Any, soak: Any) -> Field:
    if isinstance(default, bool):
        return Field(name, "flag", default)
    if isinstance(default, (int, float)):
        most = max(abs(default), soak if isinstance(soak, (int, float)) else 0)
        low = -_AT_MOST * most if default < 0 else min(1, default)
        kind: Literal["whole", "real"] = "whole" if isinstance(default, int) else "real"
        return Field(name, kind, default, 0.0 if kind == "real" else low, _AT_MOST * most or 100)
    return Field(name, "text" if isinstance(default, str) else "value", default)


@dataclass
class Choice:
    """A scenario to run: what its file declares, its name or path, and how it is measured."""

    declared: Declared
    source: str
    options: CaptureOptions

    @classmethod
    def of(cls, name: str) -> Choice:
        """Return the default choice for a scenario."""
        found = declared(name)
        source = name if name.endswith(".py") else found["name"]
        return cls(found, source, CaptureOptions(variants=list(found["variants"])))

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
        chosen = self.variants if set(self.variants) != set(self.declared["variants"]) else []
        words += [word for name in chosen for word in ("--variant", name)]
        for name in ("runs", "steps"):
            words += [f"--{name}", str(amount)] if (amount := getattr(options, name)) else []
        for key, value in (options.params or {}).items():
            words += ["--set", f"{key}={value}"]
        return command(*words)
