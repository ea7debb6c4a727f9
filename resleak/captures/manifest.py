"""The manifest of a capture: everything about a run except its tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from resleak.captures import untrusted
from resleak.captures.raw import INSTRUMENTS, ProcessOutcome
from resleak.workload.gauges import Gauge
from resleak.workload.scenario import Limit, Scenario, Sweep

#: Version of the layout of captures; a reader refuses any other.
SCHEMA = 1
#: Facts of a host that change what a run measures.
_HOST_FACTS = ("system", "release", "machine", "cpu", "libc")
#: Keys that only some manifests have: they are written where they say something.
_OPTIONAL = ("planted_per_step", "ending", "allocator")


@dataclass(frozen=True)
class DeclaredVariant:
    """A variant of a scenario: a line for people, expected symptoms, parameters that differ."""

    what: str = ""
    origin: str = "ours"
    expect: dict[str, str] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Declared:
    """The declarations of a scenario's file: the fields of `Scenario.describe`."""

    name: str
    variants: dict[str, DeclaredVariant]
    own_gauges: tuple[Gauge, ...]
    limits: tuple[Limit, ...]
    sweeps: tuple[Sweep, ...]
    system: str = ""
    title: str = ""
    doc: str = ""
    seed: str = ""
    claim: str = ""
    condition: str = ""
    language: str = ""
    claimed_by: str = "document"
    symptoms: dict[str, str] = field(default_factory=dict)
    outcome: str | None = None
    fix: str | None = None
    fix_params: tuple[str, ...] = ()
    control: str = "threads"
    steps: int = 0
    warmup: int = 0
    block: int = 1
    params: dict[str, Any] = field(default_factory=dict)
    deadline_s: float = 60.0
    exit_deadline_s: float = 10.0
    rlimits: dict[str, int] = field(default_factory=dict)
    extra: str = ""
    stacks: bool = True
    soak: dict[str, Any] = field(default_factory=dict)
    gauges: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    audit: bool = False

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Declared:
        """Return checked fields, or raise ValueError."""
        declared: Declared = untrusted.build(cls, dict(value))
        return declared

    def to_json(self) -> dict[str, Any]:
        """Return plain values, as `parse` takes them."""
        return asdict(self)


@dataclass(frozen=True)
class Phase:
    """A phase of a run, with the seconds of its start and its end."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Mark:
    """The quiet end of a block, marked in the stream of allocations."""

    mark: int
    step: int
    phase: str
    t_s: float | None = None
    rss_bytes: float | None = None


@dataclass(frozen=True)
class Exit:
    """The end of a process: `status` as in `ProcessOutcome`, or ``running``."""

    status: str = "running"
    phase: str = "steady"  # the last that began
    code: int | None = None  # negative for a signal
    exit_s: float | None = None  # from the end of the load to that of the process
    stacks: tuple[str, ...] = ()  # of the threads that were left
    error: str = ""
    line: str = ""  # of the studied file, where a failed run raised
    left_behind: tuple[str, ...] = ()  # what outlived the process and was ended, or was removed
    limit: str = ""  # of the system, at which the load ended, and the step
    printed: tuple[str, ...] = ()  # repeated lines of standard error, with how often

    @classmethod
    def of(cls, outcome: ProcessOutcome, stacks: list[str], **more: Any) -> Exit:
        """Return how a measured process ended; `more` has fields that its outcome does not."""
        stopping = outcome.began("teardown")
        exit_s = None if stopping is None else round(outcome.ended_s - stopping, 4)
        return cls(
            outcome.status, outcome.phase, outcome.code, exit_s, tuple(stacks),
            left_behind=tuple(outcome.left_behind), limit=outcome.limit, **more,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return plain values; without a failure or leftovers, nothing is said of them."""
        optional = ("error", "line", "left_behind", "limit", "printed")
        return {k: v for k, v in asdict(self).items() if v or k not in optional}


@dataclass(frozen=True)
class Versions:
    """Version of Python, its implementation, and versions by package."""

    python: str = ""
    implementation: str = ""
    packages: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ending:
    """The cause of the end of an inspected process, and the thread that forced it."""

    by: str = ""
    thread: str = ""
    at: str = ""
    made_at: str = ""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything about a run except its tables."""

    schema: int = SCHEMA
    status: str = "complete"
    session: str = ""  # tells measurements apart
    started: str = ""  # ISO 8601
    scenario: Declared
    variant: str
    instrument: str = "gauges"
    run: int = 1
    per: str = "step"  # what a step is: `step`, `s` or `request`
    seed: int = 0
    params: dict[str, Any] = field(default_factory=dict)
    steps: int = 0
    warmup: int = 0
    block: int = 1
    planted_per_step: float = 0.0  # bytes leaked on purpose
    phases: tuple[Phase, ...] = ()
    marks: tuple[Mark, ...] = ()
    exit: Exit = field(default_factory=Exit)
    versions: Versions = field(default_factory=Versions)
    host: dict[str, str | int] = field(default_factory=dict)
    git: str = ""
    digest: str = ""  # of the workload's code without texts
    env: dict[str, str] = field(default_factory=dict)
    rlimits: dict[str, int] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    allocator: str = ""  # what was loaded in place of the C library's
    facts: dict[str, float | None] = field(default_factory=dict)
    ending: Ending = field(default_factory=Ending)

    def __post_init__(self) -> None:
        if self.instrument not in INSTRUMENTS:
            raise ValueError(f"there is no instrument {self.instrument[:40]!r}")
        if not 0 <= self.run < 2**31:
            raise ValueError(f"there is no run {self.run}")
        if self.started:
            datetime.fromisoformat(self.started).timestamp()  # a ValueError if it is no time

    @classmethod
    def parse(cls, value: Any) -> Manifest:
        """Return the manifest of parsed JSON, or raise ValueError."""
        schema = value.get("schema") if isinstance(value, dict) else None
        if schema != SCHEMA:
            raise ValueError(f"has schema {str(schema)[:40]}; this version reads schema {SCHEMA}")
        manifest: Manifest = untrusted.build(cls, value)
        # Runs of a single variant may have another name, such as a release's.
        about = manifest.scenario
        if (about.symptoms or len(about.variants) > 1) and manifest.variant not in about.variants:
            raise ValueError(f"its scenario declares no variant {manifest.variant[:40]!r}")
        if about.symptoms and "leaky" not in about.variants:
            raise ValueError("its scenario makes a claim but declares no variant 'leaky'")
        return manifest

    def to_json(self) -> dict[str, Any]:
        """Return plain values, as `parse` takes them."""
        value = asdict(self) | {"exit": self.exit.to_json()}
        empty = {name for name in _OPTIONAL if getattr(self, name) in ({}, 0.0, "", Ending())}
        return {name: item for name, item in value.items() if name not in empty}

    @property
    def is_complete(self) -> bool:
        """True if the run ended, by itself or at its deadline, and was stored whole."""
        return self.status == "complete"

    @property
    def last_step(self) -> float:
        """The last step of the load; infinite where steps are not counted."""
        return self.warmup + self.steps if self.per == "step" else math.inf

    @property
    def steady_s(self) -> float:
        """Seconds that the steady state took."""
        return sum(one.end_s - one.start_s for one in self.phases if one.name == "steady")

    @property
    def host_facts(self) -> dict[str, str]:
        """The facts of the host that change what a run measures; empty where not recorded."""
        return host_facts(self.host, self.allocator)

    @property
    def host_class(self) -> str:
        """The same as one text."""
        return ", ".join(filter(None, self.host_facts.values()))


def host_facts(host: Mapping[str, Any], allocator: str = "") -> dict[str, str]:
    """Return the facts of a host that change what a run measures: they tell its class."""
    facts = {name: str(host.get(name, "")) for name in _HOST_FACTS}
    return {**facts, "allocator": allocator or "default"}


def session() -> str:
    """Return a name for one measurement: captures of two are never mixed."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")


def now() -> str:
    """Return the time as manifests have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def described(name: str, title: str, variants: Mapping[str, str]) -> Declared:
    """Return the declaration of captures without a scenario; `variants` has a title by name."""
    default = Scenario(stacks=False)
    default.name, default.title = name, title
    named = {variant: {"what": what} for variant, what in variants.items()}
    return Declared.parse(default.describe() | {"variants": named})
