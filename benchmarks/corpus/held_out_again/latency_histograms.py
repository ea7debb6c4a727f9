"""Histograms of latencies by endpoint: each new one takes its place, and there are few."""

from _work import benign
from prometheus_client import CollectorRegistry, Histogram

registry, bounds = CollectorRegistry(), (10, 20, 30, 40, 50)
latency = Histogram("latency", "Ms.", ["endpoint"], registry=registry, buckets=bounds)


def step(_, run):
    for _ in range(run.params.requests):
        endpoint = min(int(run.rng.expovariate(1 / run.params.usual)), run.params.endpoints)
        latency.labels(f"/{endpoint}").observe(run.rng.uniform(0, 60))


scenario = benign(
    step,
    requests=8,
    usual=4.0,
    endpoints=8,
    workloads=[{}, {"requests": 20, "usual": 20.0, "endpoints": 40}],
)
