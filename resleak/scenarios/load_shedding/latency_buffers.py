"""A list of the last 10 000 latencies fills, stays full, and is not a leak.

Two hundred requests per step; the buffer of 10 000 is full when the warm-up ends.

- `leaky`, as the document describes it: append, and shift when there are more than 10 000. It
  grows to them and stays there, as claimed; it is no leak: 0 entries and 0 B per step, with 0.35 MB
  on the heap. Three such buffers take 1 MB, far too little to fill a heap to 87 %.
- `leaky_without_bound`, "unbounded arrays" in the plan: 200 entries and 8 kB per step would remain.
- `fixed`: the document's bound of 1 000. It saves those 0.3 MB, and nine tenths of the samples.

An append and a shift take 0.2 µs at 1 000 entries, 1.4 µs at 10 000; a deque always takes 0.05 µs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from resleak.workload.scenario import Limit, Run, Scenario

scenario = Scenario(
    seed="002#5",
    claim="metrics arrays grow to 10,000 entries and stay there: a memory leak",
    condition="as described: an array fills and stays at 10,000 entries, 0.35 MB; it is no leak. "
    "The plan also calls the arrays unbounded: then it would be one",
    language="JavaScript",
    symptoms={"entries": "broken", "heap": "leak"},
    outcome="partly",
    fix="holds",
    fix_params=["max_entries"],
    gauges=("heap",),
    control="fds",
    limits=[Limit("entries", at_most=1000, source="the document's own bound")],
    steps=150,
    warmup=50,
    params={"requests": 200, "max_entries": 10_000},
)


class Latencies:
    """The last latencies in milliseconds."""

    def __init__(self, run: Run) -> None:
        self.run, self.max = run, run.params.max_entries
        self.values: list[float] | deque[float] = []
        if run.variant == "fixed_deque":
            self.values = deque(maxlen=self.max)

    def measured(self) -> Iterator[float]:
        """Yield the latency of each request of a step."""
        for _ in range(self.run.params.requests):
            yield self.run.rng.expovariate(1 / 250)


@scenario.setup
def latencies(run: Run) -> Iterator[Latencies]:
    yield Latencies(run)


@scenario.gauge("entries")
def entries(latencies: Latencies) -> float:
    """Latencies in the buffer."""
    return len(latencies.values)


@scenario.variant("leaky", expect={"entries": "broken"}, origin="document words")
@scenario.variant("fixed", max_entries=1000, origin="document code")
def shift(_step: int, latencies: Latencies) -> None:
    """Append each latency, and remove the first one when there are too many."""
    values = latencies.values
    for value in latencies.measured():
        values.append(value)
        if len(values) > latencies.max:
            del values[0]


@scenario.variant("leaky_without_bound", expect={"heap": "leak", "entries": "leak, broken"})
@scenario.variant("fixed_deque", max_entries=1000)
def append(_step: int, latencies: Latencies) -> None:
    """Append each latency, and let the container drop the oldest."""
    latencies.values.extend(latencies.measured())
