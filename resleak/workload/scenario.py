"""What a scenario file declares: gauges, variants, limits, and the claim under test.

This module is all that a scenario file imports from the package, also in the interpreter of a
measured process. It therefore uses nothing but the standard library.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from resleak import formatting
from resleak.errors import ScenarioError
from resleak.workload.gauges import Gauge, Kind

Verdict = Literal["leak", "plateau", "deferred", "flat", "inconclusive"]
Outcome = Literal["reproduced", "partly", "not reproduced"]
FixOutcome = Literal["holds", "insufficient", "harmful"]

VERDICTS = ("leak", "deferred", "inconclusive", "plateau", "flat")
OUTCOMES = ("reproduced", "partly", "not reproduced")
FIX_OUTCOMES = ("holds", "insufficient", "harmful")
_PLAIN: tuple[str, ...] = (
    *("name", "system", "title", "doc", "seed", "claim", "symptoms", "outcome", "fix", "control"),
    *("steps", "warmup", "block", "params", "deadline_s", "exit_deadline_s", "rlimits", "extra"),
    *("stacks", "soak"),
)
#: A symptom besides a gauge's verdict: a broken limit, a process that does not end by itself, a
#: cost that grows with what it is spent on.
BROKEN, HANGS, SCALES = "broken", "hangs", "scales"


@dataclass(frozen=True)
class Limit:
    """Something a gauge must not do, in every run.

    Exactly one of `at_least`, `at_most`, `at_end` or `per_second` is given. `at_least` and
    `at_most` hold for every reading (of a measure: every steady step), `at_end` for the last one,
    `per_second` is the highest mean rate of a counter over the steady part.

    Parameters
    ----------
    gauge : str
        The name of a gauge, of a measure, of a fact, ``cpu_s`` (seconds of processor time, a
        counter), ``cleanup_s`` (seconds of the tear-down) or ``exit_s`` (seconds from the end of
        the load to the end of the process, tear-down included).
    quantile : float, optional
        Share of the steady readings for which `at_most` must hold, such as 0.5 or 0.95. On a
        machine that others use too, the median step of a run is a property of the code; the
        longest one is not.
    source : str
        Where the limit comes from: a seed's budget, a promise of the interface.
    """

    gauge: str
    at_least: float | None = None
    at_most: float | None = None
    at_end: float | None = None
    per_second: float | None = None
    quantile: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        given = [self.at_least, self.at_most, self.at_end, self.per_second]
        if sum(value is not None for value in given) != 1:
            raise ScenarioError(
                f"Limit({self.gauge!r}) needs exactly one of at_least, at_most, at_end, per_second"
            )
        if self.quantile is not None and (self.at_most is None or not 0 < self.quantile < 1):
            raise ScenarioError(
                f"Limit({self.gauge!r}): a quantile lies between 0 and 1 and goes with at_most"
            )

    def text(self) -> str:
        """Return the limit as a short sentence, such as ``active >= 0 always``."""
        share = f"in {self.quantile:.0%} of steps" if self.quantile is not None else "always"
        allowed = formatting.number(self.allowed)
        if self.at_least is not None:
            return f"{self.gauge} ≥ {allowed} always"
        if self.at_most is not None:
            return f"{self.gauge} ≤ {allowed} {share}"
        if self.at_end is not None:
            return f"{self.gauge} = {allowed} at the end"
        return f"{self.gauge} ≤ {allowed} per second"

    @property
    def allowed(self) -> float:
        """The bound itself."""
        values = (self.at_least, self.at_most, self.at_end, self.per_second)
        return float(next(value for value in values if value is not None))


@dataclass(frozen=True)
class Sweep:
    """A cost that must not grow with what it is spent on, such as memory with rows.

    Each step takes another value of `over`, so that every run walks through all of them. The
    exponent is the slope of the cost over the size, both as logarithms: 1 where the cost is
    proportional, 0 where it does not depend on it.

    Parameters
    ----------
    gauge : str
        The cost: a measure.
    over : str
        The size: a measure of the scenario's own that gives the step's value.
    at_most : float
        The largest exponent that does not count as growth.
    floor : float
        Costs below it count as equal to it, in the unit of the cost.
    source : str
        Where the expectation comes from.
    """

    gauge: str
    over: str
    at_most: float = 0.3
    floor: float = 0.0
    source: str = ""


@dataclass
class Run:
    """What a measured process hands to the set-up (and, without a set-up, to the step).

    Attributes
    ----------
    params : SimpleNamespace
        The scenario's parameters, with overrides applied.
    seed : int
        The seed of this run; `rng` is seeded with it.
    workdir : Path
        A temporary folder of this run alone, removed afterwards.
    variant : str
        The name of the variant that runs.
    rng : random.Random
        The only source of randomness a scenario may use.
    """

    params: SimpleNamespace
    seed: int
    workdir: Path
    variant: str
    rng: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)


@dataclass(frozen=True)
class Variant:
    """One way to do the work: `leaky`, `proposed`, `fixed`, or another name.

    Parameters
    ----------
    step : callable
        Does one repetition; called with the step's number and what the set-up yielded.
    expect : mapping of str to str
        Declared symptoms: gauge name to verdict, limit's gauge to ``"broken"``, sweep's gauge to
        ``"scales"``, or ``"run"`` to ``"hangs"``. What is not named is expected clean.
    close : callable, optional
        Called with what the set-up yielded when the load ends, before the tear-down.
    params : mapping, optional
        Parameters that differ for this variant.
    what : str
        One line for people: the first line of the step's docstring.
    """

    name: str
    step: Callable[..., Any]
    expect: Mapping[str, str] = field(default_factory=dict)
    close: Callable[..., Any] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    what: str = ""


class Scenario:
    """One claim about one leak, with its faulty and its cured variants.

    Parameters
    ----------
    seed : str
        Seed document and section, such as ``"003#1"``; empty for a control or a user's own file.
    claim : str
        The claim in one sentence.
    symptoms : mapping of str to str
        What the claim says of `leaky`: gauge to verdict, limit's gauge to ``"broken"``, sweep's
        gauge to ``"scales"``, ``"run"`` to ``"hangs"``. Empty for a null control.
    outcome : {"reproduced", "partly", "not reproduced"}
        What was measured of the claim when the file was written.
    fix : {"holds", "insufficient", "harmful"}
        What was measured of the seed's own fix: `proposed` where there is one, else `fixed`.
    gauges : iterable of str
        The built-in gauges and measures that are evidence here. Measures (``step_s``, ``lag_s``,
        ``step_peak``) are read only where gauges, limits or sweeps name them.
    control : str
        A gauge that must stay flat in every variant.
    limits : iterable of Limit
        What must hold in every run.
    sweeps : iterable of Sweep
        Which costs must not grow with what.
    steps, warmup, block : int
        Measured steps, steps before them, and steps between two collections.
    params : mapping
        Defaults of the parameters; each can be overridden from outside.
    soak : mapping
        Parameters of the ``soak`` profile, where they differ: the sizes of a long and heavy run.
    deadline_s, exit_deadline_s : float
        How long the set-up or a single step and, after the load, the end of the process may take.
    rlimits : mapping of str to int
        Resource limits of the process by their name in `resource` (``{"RLIMIT_NOFILE": 256}``).
    requires : iterable of str
        Import names of optional packages; `extra` is the extra that brings them.
    stacks : bool
        Whether a second run under the memory profiler makes sense.

    Raises
    ------
    ScenarioError
        If a value is not one of those listed.
    """

    def __init__(
        self,
        *,
        seed: str = "",
        claim: str = "",
        symptoms: Mapping[str, str] | None = None,
        outcome: Outcome | None = None,
        fix: FixOutcome | None = None,
        gauges: Iterable[str] = (),
        control: str = "threads",
        limits: Iterable[Limit] = (),
        sweeps: Iterable[Sweep] = (),
        steps: int = 240,
        warmup: int = 60,
        block: int = 10,
        params: Mapping[str, Any] | None = None,
        soak: Mapping[str, Any] | None = None,
        deadline_s: float = 60.0,
        exit_deadline_s: float = 10.0,
        rlimits: Mapping[str, int] | None = None,
        requires: Iterable[str] = (),
        extra: str = "",
        stacks: bool = True,
    ) -> None:
        _check_choice("outcome", outcome, OUTCOMES)
        _check_choice("fix", fix, FIX_OUTCOMES)
        if bool(claim) != (outcome is not None):
            raise ScenarioError("a claim needs an outcome, and an outcome a claim")
        self.seed, self.claim, self.outcome, self.fix = seed, claim, outcome, fix
        self.symptoms = dict(symptoms or {})
        self.gauges, self.control = tuple(gauges), control
        self.limits, self.sweeps = tuple(limits), tuple(sweeps)
        self.steps, self.warmup, self.block = steps, warmup, block
        self.params, self.soak = dict(params or {}), dict(soak or {})
        if unknown := self.soak.keys() - self.params.keys():
            raise ScenarioError(f"soak names no parameter: {', '.join(sorted(unknown))}")
        self.deadline_s, self.exit_deadline_s = deadline_s, exit_deadline_s
        self.rlimits = dict(rlimits or {})
        self.requires, self.extra, self.stacks = tuple(requires), extra, stacks
        self.variants: dict[str, Variant] = {}
        self.own_gauges: dict[str, tuple[Gauge, Callable[..., float]]] = {}
        self.facts: dict[str, Gauge] = {}
        self.setup_function: Callable[..., Any] | None = None
        self.audit_function: Callable[..., Mapping[str, float]] | None = None
        #: Returns numbers by name, each of which becomes an own gauge once all is set up.
        self.gauges_function: Callable[..., Mapping[str, float]] | None = None
        # The catalog fills these from the file's place and docstring.
        self.name = self.system = self.title = self.doc = self.path = ""

    def __repr__(self) -> str:
        told = self._told()
        return formatting.table_text(f"{self.name or 'scenario'}: {self.title}", told)

    def _repr_html_(self) -> str:
        return formatting.table_html(f"{self.name or 'scenario'}: {self.title}", (), self._told())

    def _told(self) -> list[tuple[str, str]]:
        claim = f"{self.seed}: {self.claim} ({self.outcome})" if self.claim else "none: a control"
        rows = [("claim", claim), *([("its fix", str(self.fix))] if self.fix else [])]
        for variant in self.variants.values():
            expected = ", ".join(f"{gauge} {word}" for gauge, word in variant.expect.items())
            parts = (variant.what.rstrip("."), expected or "clean")
            rows.append((variant.name, ": ".join(filter(None, parts))))
        rows.append(("control", f"{self.control} stays flat"))
        rows += [("limit", limit.text()) for limit in self.limits]
        rows += [("parameter", f"{name} = {value!r}") for name, value in self.params.items()]
        return [*rows, ("steps", f"{self.steps} after {self.warmup} to warm up")]

    def variant(
        self,
        name: str = "",
        *,
        expect: Mapping[str, str] | None = None,
        close: Callable[..., Any] | None = None,
        **params: Any,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Declare the decorated function as a variant; may be stacked under several names."""

        def add(step: Callable[..., Any]) -> Callable[..., Any]:
            key = name or step.__name__
            if key in self.variants:
                raise ScenarioError(f"the variant {key!r} is declared twice")
            what = (inspect.getdoc(step) or "").split("\n")[0]
            self.variants[key] = Variant(key, step, dict(expect or {}), close, params, what)
            return step

        return add

    def setup(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Declare the generator that makes what the steps use: set-up, ``yield``, tear-down."""
        self.setup_function = function
        return function

    def gauge(
        self, unit: str, *, kind: Kind = "level", **rule: Any
    ) -> Callable[[Callable[..., float]], Callable[..., float]]:
        """Declare a gauge of the scenario's own, read after each step from what is set up."""

        def add(read: Callable[..., float]) -> Callable[..., float]:
            what = (inspect.getdoc(read) or "").split("\n")[0]
            gauge = Gauge(read.__name__, unit, what, kind, **rule)
            self.own_gauges[gauge.name] = (gauge, read)
            return read

        return add

    def audit(
        self, **units: str
    ) -> Callable[[Callable[..., Mapping[str, float]]], Callable[..., Mapping[str, float]]]:
        """Declare what is counted once the process has ended, as ``fact=unit`` pairs.

        The function runs in a fresh process with the `Run` and the last values of the
        scenario's own gauges, and returns one number per fact.
        """

        def add(function: Callable[..., Mapping[str, float]]) -> Callable[..., Mapping[str, float]]:
            self.facts = {name: Gauge(name, unit, kind="fact") for name, unit in units.items()}
            self.audit_function = function
            return function

        return add

    @property
    def named(self) -> set[str]:
        """Every gauge that the declaration names."""
        limited = {limit.gauge for limit in self.limits}
        return {*self.gauges, *limited, *(sweep.gauge for sweep in self.sweeps)}

    def describe(self) -> dict[str, Any]:
        """Return all that a runner and a stored capture must know, as plain JSON values."""
        own = [asdict(gauge) for gauge, _ in self.own_gauges.values()]
        return {
            **{key: getattr(self, key) for key in _PLAIN},
            **{key: list(getattr(self, key)) for key in ("gauges", "requires")},
            "audit": self.audit_function is not None,
            "limits": [asdict(limit) for limit in self.limits],
            "sweeps": [asdict(sweep) for sweep in self.sweeps],
            "own_gauges": own + [asdict(gauge) for gauge in self.facts.values()],
            "variants": {
                v.name: {"what": v.what, "expect": dict(v.expect), "params": dict(v.params)}
                for v in self.variants.values()
            },
        }


def scenario(step: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a scenario of one step function: ``@scenario`` or ``@scenario(steps=500)``.

    Parameters
    ----------
    step : callable
        Called with the step's number.
    **options
        As for `Scenario`.

    Returns
    -------
    Scenario
        With the single variant ``workload``.
    """

    def make(function: Callable[..., Any]) -> Scenario:
        made = Scenario(**options)
        made.variant("workload")(function)
        return made

    return make if step is None else make(step)


def _check_choice(name: str, value: str | None, choices: tuple[str, ...]) -> None:
    if value is not None and value not in choices:
        raise ScenarioError(f"{name} is {value!r}; it must be one of: {', '.join(choices)}")
