"""A counter with a fixed label is increased per task.

Source: prometheus/client_python#937
Environment: current
Packages: prometheus_client
Kind: clean
Truth: TODO
"""

from prometheus_client import CollectorRegistry, Counter

tasks = Counter("tasks", "Tasks by name.", ["name"], registry=CollectorRegistry())


def step(i):
    tasks.labels(f"task {i % 5}").inc()
