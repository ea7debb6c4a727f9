"""A counter with a fixed label is increased per task.

Source: prometheus/client_python#937
Environment: current
Packages: prometheus_client
Kind: clean
Truth: no count grows from step 6,565 to 12,000
"""

from prometheus_client import CollectorRegistry, Counter

tasks = Counter("tasks", "Tasks by name.", ["name"], registry=CollectorRegistry())


def step(i):
    tasks.labels(f"task {i % 5}").inc()
