"""The declarations of a scenario file; standard library only, for the measured process."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

from resleak import formatting
from resleak.errors import ScenarioError
from resleak.workload import calling
from resleak.workload.gauges import INDEX_COLUMNS, Gauge, Kind
from resleak.workload.verdict_words import Claimant, FixOutcome, Origin, Outcome

_LONGEST_NAME = 100
_Step = Callable[..., Any]
_Audit = Callable[..., Mapping[str, float]]


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
        Share of the steady readings for which `at_most` must hold, such as 0.5 or 0.95. The median
        step of a run is a property of the code; the longest one is not.
    source : str
        Where the limit comes from: a budget in the source document, a promise of the interface.
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
        allowed = formatting.number(self.allowed)
        if self.at_least is not None:
            return f"{self.gauge} ≥ {allowed} always"
        if self.at_end is not None:
            return f"{self.gauge} = {allowed} at the end"
        share = f"in {100 * self.quantile:g}% of steps" if self.quantile is not None else "always"
        return f"{self.gauge} ≤ {allowed} {'per second' if self.at_most is None else share}"

    @property
    def allowed(self) -> float:
        """The bound itself."""
        values = (self.at_least, self.at_most, self.at_end, self.per_second)
        return float(next(value for value in values if value is not None))


@dataclass(frozen=True)
class Sweep:
    """A cost that must not grow with its size, such as memory with rows.

    Each step takes another value of the measure `over`. The exponent is the slope of the cost over
    the size, both as logarithms: 1 where they are proportional, 0 where they are independent. Costs
    below `floor` count as equal to it.
    """

    gauge: str
    over: str
    at_most: float = 0.3
    floor: float = 0.0
    source: str = ""


@dataclass
class Run:
    """Argument of the set-up (and, without a set-up, of the step).

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

    `expect` maps a gauge to a verdict, a limit's gauge to ``"broken"``, a sweep's gauge to
    ``"scales"``, or ``"run"`` to ``"hangs"``; everything else is expected clean. `close` is called
    with the fixture when the load ends; `params` are those that differ for this variant; `origin`
    says whose code it is.
    """

    name: str
    step: Callable[..., Any]
    expect: Mapping[str, str] = field(default_factory=dict)
    close: Callable[..., Any] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    what: str = ""
    origin: Origin = "ours"


@dataclass(repr=False, eq=False)
class Scenario(formatting.Shown):
    """One claim about one leak, with its buggy and its fixed variants.

    Parameters
    ----------
    seed : str
        Source document and section, such as ``"003#1"``; empty for a control or a user's own file.
    claim : str
        The claim in one sentence.
    condition : str
        When `leaky` leaks, or when the fix fails.
    language : str
        Language of the system that the claim is about.
    claimed_by : {"document", "ours"}
        Whose claim it is.
    symptoms : mapping of str to str
        Claimed symptoms of `leaky`: gauge to verdict, limit's gauge to ``"broken"``, sweep's
        gauge to ``"scales"``, ``"run"`` to ``"hangs"``. Empty for a null control.
    outcome : {"reproduced", "partly", "not reproduced"}
        Result of measuring the claim when the file was written.
    fix : {"holds", "insufficient", "harmful"}
        Result of measuring the source document's fix: `proposed` if there is one, else `fixed`;
        None if the document proposes none.
    fix_params : iterable of str
        Parameters that belong to a fix; all others are the load.
    gauges : iterable of str
        The built-in gauges and measures that are evidence here. Measures (``step_s``, ``lag_s``,
        ``step_peak``) are read only where gauges, limits or sweeps name them.
    control : str
        A gauge that must stay flat in every variant.
    limits : iterable of Limit
        Limits that must hold in every run.
    sweeps : iterable of Sweep
        Costs that must not grow with a size.
    steps, warmup, block : int
        Measured steps, steps before them, and steps between two collections.
    params : mapping
        Defaults of the parameters; each can be overridden from outside.
    soak : mapping
        Parameters of the ``soak`` profile, where they differ: the sizes of a long and heavy run.
    deadline_s, exit_deadline_s : float
        Seconds for the set-up or a single step, and for the process to end after the load.
    rlimits : mapping of str to int
        Resource limits of the process by their name in `resource` (``{"RLIMIT_NOFILE": 256}``).
    requires : iterable of str
        Import names of optional packages; `extra` is the extra that brings them.
    stacks : bool
        True if a second run under the memory profiler makes sense.

    Raises
    ------
    ScenarioError
        If a value is not one of those listed.
    """

    seed: str = ""
    claim: str = ""
    condition: str = ""
    language: str = ""
    claimed_by: Claimant = "document"
    symptoms: Mapping[str, str] = field(default_factory=dict)
    outcome: Outcome | None = None
    fix: FixOutcome | None = None
    fix_params: Iterable[str] = ()
    gauges: Iterable[str] = ()
    control: str = "threads"
    limits: Iterable[Limit] = ()
    sweeps: Iterable[Sweep] = ()
    steps: int = 240
    warmup: int = 60
    block: int = 10
    params: Mapping[str, Any] = field(default_factory=dict)
    soak: Mapping[str, Any] = field(default_factory=dict)
    deadline_s: float = 60.0
    exit_deadline_s: float = 10.0
    rlimits: Mapping[str, int] = field(default_factory=dict)
    requires: Iterable[str] = ()
    extra: str = ""
    stacks: bool = True
    # The catalog fills these from the file's place and docstring.
    name: str = field(default="", init=False)
    system: str = field(default="", init=False)
    title: str = field(default="", init=False)
    doc: str = field(default="", init=False)

    def __post_init__(self) -> None:
        _check_choice("outcome", self.outcome, Outcome)
        _check_choice("fix", self.fix, FixOutcome)
        _check_choice("claimed_by", self.claimed_by, Claimant)
        if bool(self.claim) != bool(self.outcome or self.fix):
            raise ScenarioError("a claim needs an outcome, and an outcome a claim")
        for name in ("gauges", "limits", "sweeps", "requires", "fix_params"):
            setattr(self, name, list(getattr(self, name)))
        for name in ("soak", "fix_params"):
            if unknown := set(getattr(self, name)) - self.params.keys():
                raise ScenarioError(f"{name} names no parameter: {', '.join(sorted(unknown))}")
        self.path = ""
        self.variants: dict[str, Variant] = {}
        self.own_gauges: dict[str, tuple[Gauge, Callable[..., float]]] = {}
        self.facts: dict[str, Gauge] = {}
        self.setup_function: Callable[..., Any] | None = None
        self.audit_function: _Audit | None = None
        #: Returns numbers by name, each of which becomes an own gauge once all is set up.
        self.gauges_function: Callable[..., Mapping[str, float]] | None = None

    def _table(self) -> formatting.Table:
        claim = f"{self.seed}: {self.claim} ({self.outcome})" if self.claim else "none: a control"
        rows = [("claim", claim), *([("its fix", str(self.fix))] if self.fix else [])]
        rows += [("condition", self.condition)] if self.condition else []
        for variant in self.variants.values():
            expected = ", ".join(f"{gauge} {word}" for gauge, word in variant.expect.items())
            parts = (variant.what.rstrip("."), expected or "clean")
            rows.append((variant.name, ": ".join(filter(None, parts))))
        rows.append(("control", f"{self.control} stays flat"))
        rows += [("limit", limit.text()) for limit in self.limits]
        rows += [("parameter", f"{name} = {value!r}") for name, value in self.params.items()]
        rows.append(("steps", f"{self.steps} after {self.warmup} to warm up"))
        return formatting.Table((), rows, f"{self.name or 'scenario'}: {self.title}")

    def variant(
        self,
        name: str = "",
        *,
        expect: Mapping[str, str] | None = None,
        origin: Origin = "ours",
        close: Callable[..., Any] | None = None,
        **params: Any,
    ) -> Callable[[_Step], _Step]:
        """Declare the decorated function as a variant; may be stacked under several names."""

        def add(step: _Step) -> _Step:
            key = name or step.__name__
            check_name("variant", key)
            calling.refuse_generator(step, f"the variant {key!r}")
            calling.refuse_generator(close, f"the close of variant {key!r}")
            _check_choice("origin", origin, Origin)
            if key in self.variants:
                raise ScenarioError(f"the variant {key!r} is declared twice")
            what = (inspect.getdoc(step) or "").split("\n")[0]
            expected = dict(expect or {})
            self.variants[key] = Variant(key, step, expected, close, params, what, origin)
            return step

        return add

    def setup(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Declare the generator that makes the fixture: set-up, ``yield``, tear-down."""
        self.setup_function = function
        return function

    def gauge(
        self, unit: str, *, kind: Kind = "level", **rule: Any
    ) -> Callable[[Callable[..., float]], Callable[..., float]]:
        """Declare a gauge of the scenario's own, read after each step from what is set up."""

        def add(read: Callable[..., float]) -> Callable[..., float]:
            check_name("gauge", read.__name__)
            what = (inspect.getdoc(read) or "").split("\n")[0]
            gauge = Gauge(read.__name__, unit, what, kind, **rule)
            self.own_gauges[gauge.name] = (gauge, read)
            return read

        return add

    def audit(self, **units: str) -> Callable[[_Audit], _Audit]:
        """Declare ``fact=unit`` pairs, counted in a fresh process after this one has ended.

        The function gets the `Run` and the last values of the scenario's own gauges.
        """

        def add(function: _Audit) -> _Audit:
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
        """Return all that a runner and a stored capture need, as plain JSON values."""
        own = [*(gauge for gauge, _ in self.own_gauges.values()), *self.facts.values()]
        return {
            **asdict(self),
            "audit": self.audit_function is not None,
            "own_gauges": [asdict(gauge) for gauge in own],
            "variants": {
                v.name: {
                    "what": v.what,
                    "origin": v.origin,
                    "expect": dict(v.expect),
                    "params": dict(v.params),
                }
                for v in self.variants.values()
            },
        }


def scenario(step: _Step | None = None, /, **options: Any) -> Any:
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
    if step is None:
        return partial(scenario, **options)
    declared = Scenario(**options)
    declared.variant("workload")(step)
    return declared


def check_name(kind: str, name: str) -> None:
    """Raise ScenarioError unless a name can stand in a path, a table and a terminal."""
    if not name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise ScenarioError(
            f"{name[:40]!r} is not a name for a {kind}: use up to {_LONGEST_NAME} printable letters"
        )
    if kind == "gauge" and name in INDEX_COLUMNS:
        raise ScenarioError(
            f"a gauge cannot be named {name!r}, as a column of every trace: rename it"
        )


def _check_choice(name: str, value: str | None, words: object) -> None:
    choices: tuple[str, ...] = get_args(words)
    if value is not None and value not in choices:
        raise ScenarioError(f"{name} is {value!r}; it must be one of: {', '.join(choices)}")
