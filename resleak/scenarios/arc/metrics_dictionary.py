"""Metrics keyed by raw paths grow for ever; a window bounds their age, not their number.

An API records the latencies of its requests by path. Each step is twenty minutes of traffic: ten
new databases and a health check. The 24-hour window is full when the measurement begins.

- `leaky` keeps every path: one key, a queue of values, and some 1 kB per path.
- `proposed_keys_stay`: such a window that drops values alone. An empty queue keeps 94 % of a key.
- `fixed`, a window for values and keys: 721 of them; with ten new paths per second 864 000, 0.9 GB.
- `fixed_route_names`: the route's name is the key, not the path. Two routes, two keys.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from resleak.workload.scenario import Run, Scenario

scenario = Scenario(
    seed="003#18",
    claim="the dictionaries of metrics grow without bound: nothing is ever dropped",
    condition="paths that contain identifiers; the bound is a day's traffic, and the window must "
    "drop keys too",
    language="Python",
    symptoms={"keys": "leak", "heap": "leak"},
    outcome="reproduced",
    fix="holds",
    gauges=("heap",),
    control="fds",
    steps=150,
    warmup=150,
    params={"paths_per_step": 10, "minutes_per_step": 20, "window_s": 24 * 3600},
    requires=("starlette",),
    extra="arc",
)
#: `starlette.routing.Match.FULL`
FULL = 2
Samples = deque[tuple[float, float]]


class Metrics:
    """Latencies by endpoint, never removed."""

    def __init__(self, window: float) -> None:
        self.window, self.by_key = window, dict[str, Samples]()

    def record(self, key: str, now: float, latency: float) -> None:
        self.by_key.setdefault(key, deque(maxlen=100)).append((now, latency))

    def prune(self, now: float) -> None:
        """Drop old entries."""


class WindowOfValues(Metrics):
    """Drops old values."""

    def prune(self, now: float) -> None:
        for samples in self.by_key.values():
            while samples and samples[0][0] <= now - self.window:
                samples.popleft()


class Window(WindowOfValues):
    """Drops old values, and keys without values."""

    def prune(self, now: float) -> None:
        super().prune(now)
        for key in [key for key, samples in self.by_key.items() if not samples]:
            del self.by_key[key]


METRICS = {
    "leaky": Metrics,
    "proposed_keys_stay": WindowOfValues,
    "fixed": Window,
    "fixed_route_names": Window,
}


class Api:
    """Routes of an application, whose requests are recorded."""

    def __init__(self, run: Run) -> None:
        from starlette.routing import Route

        self.params, self.metrics = run.params, METRICS[run.variant](run.params.window_s)
        self.routes = [
            Route("/health", lambda _: None, name="health"),
            Route("/databases/{name}/query", lambda _: None, name="query"),
        ]

    def route_name(self, path: str) -> str:
        scope = {"type": "http", "path": path, "method": "GET"}
        matched: list[Any] = [r for r in self.routes if r.matches(scope)[0].value == FULL]
        return str(matched[0].name) if matched else "unknown"


@scenario.setup
def api(run: Run) -> Iterator[Api]:
    yield Api(run)


@scenario.gauge("keys")
def keys(api: Api) -> float:
    """Keys in the metrics."""
    return len(api.metrics.by_key)


def paths(step: int, count: int) -> Iterator[str]:
    for number in range(step * count, (step + 1) * count):
        yield f"/databases/tenant-{number:08d}/query"
    yield "/health"


@scenario.variant("leaky", expect={"keys": "leak", "heap": "leak"}, origin="document words")
@scenario.variant("proposed_keys_stay", expect={"keys": "leak", "heap": "leak"})
@scenario.variant("fixed", origin="document words")
def by_path(step: int, api: Api) -> None:
    """Record each request by its path."""
    now = step * api.params.minutes_per_step * 60.0
    for path in paths(step, api.params.paths_per_step):
        api.metrics.record(path, now, 0.01)
    api.metrics.prune(now)


@scenario.variant("fixed_route_names")
def by_route(step: int, api: Api) -> None:
    """Record each request by the name of its route."""
    now = step * api.params.minutes_per_step * 60.0
    for path in paths(step, api.params.paths_per_step):
        api.metrics.record(api.route_name(path), now, 0.01)
    api.metrics.prune(now)
