"""`re.match` with a pattern's text does not recompile it, unless there are more than 512 patterns.

A validator matches names against patterns given as text, as on each request. Compilations are
counted at the compiler; the cost is that of a call, relative to a precompiled pattern.

- `leaky` passes the text each time. Nothing is compiled again, which is the claim, because CPython
  caches compiled patterns; the look-up triples the cost of a call (3.11 and 3.13 alike).
- `leaky_many_patterns`: 520 patterns, for example one per measurement, in turn. The cache holds
  512 and evicts the oldest: every call compiles, and costs more than a thousand times as much.
- `fixed`: compiled once and kept; `fixed_many_patterns` with 520 of them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="003#17",
    claim="the patterns of validators are compiled again on every request",
    condition="never with up to 512 patterns, which CPython caches; the look-up triples the cost "
    "of a call, and the fix saves that. With more patterns, used in turn, each call compiles",
    language="Python",
    symptoms={"compilations": "broken"},
    outcome="not reproduced",
    fix="holds",
    control="fds",
    limits=[
        Limit("compilations", at_most=0, source="a pattern is compiled once"),
        Limit("relative_cost", at_most=1.5, quantile=0.5, source="a compiled pattern costs 1"),
    ],
    steps=12,
    warmup=4,
    block=4,
    params={"patterns": 4, "calls": 520, "rounds": 5},
    stacks=False,
)
NAME = "measurement_17"
#: Private: no public API shows that the module compiles something.
COMPILER: Any = re._compiler  # type: ignore[attr-defined]
Match = Callable[[str], Any]


class Validator:
    """Matches a name with many patterns, and measures the cost."""

    def __init__(self, params: Any) -> None:
        self.rounds, self.compilations, self.relative_cost = params.rounds, 0, 1.0
        texts = [f"[a-z_]{{1,{20 + n}}}[0-9]*$" for n in range(params.patterns)]
        turns = params.calls // params.patterns
        self.by_text = [partial(re.match, text) for text in texts] * turns
        self.by_pattern = [partial(re.Pattern.match, re.compile(text)) for text in texts] * turns

    def compare(self, matches: list[Match]) -> None:
        """Time the matches alternately with compiled patterns; the fastest round counts."""
        self.compilations = 0
        taken = [(_timed(matches), _timed(self.by_pattern)) for _ in range(self.rounds)]
        mine, compiled = (min(seconds) for seconds in zip(*taken, strict=True))
        self.relative_cost = mine / compiled


def _timed(matches: list[Match]) -> float:
    began = time.perf_counter()
    for match in matches:
        match(NAME)
    return time.perf_counter() - began


@scenario.setup
def validator(run: Run) -> Iterator[Validator]:
    validator, compile_really = Validator(run.params), COMPILER.compile

    def count_and_compile(*args: Any) -> Any:
        validator.compilations += 1
        return compile_really(*args)

    COMPILER.compile = count_and_compile
    yield validator
    COMPILER.compile = compile_really


@scenario.gauge("compilations", kind="measure")
def compilations(validator: Validator) -> float:
    """Patterns compiled during the step."""
    return validator.compilations


@scenario.gauge("", kind="measure")
def relative_cost(validator: Validator) -> float:
    """Time of a call, where the same call of a compiled pattern takes 1."""
    return validator.relative_cost


@scenario.variant("leaky", expect={"relative_cost": "broken"}, origin="document words")
@scenario.variant(
    "leaky_many_patterns",
    expect={"compilations": "broken", "relative_cost": "broken"},
    patterns=520,
    rounds=1,
)
def leaky(_step: int, validator: Validator) -> None:
    """Match with the text of each pattern."""
    validator.compare(validator.by_text)


@scenario.variant("fixed", origin="document words")
@scenario.variant("fixed_many_patterns", patterns=520)
def fixed(_step: int, validator: Validator) -> None:
    """Match with precompiled patterns."""
    validator.compare(validator.by_pattern)
