"""A counter with a label for each user, whose series nobody removes."""

from _work import pair
from prometheus_client import CollectorRegistry, Counter

requests = Counter("requests", "Requests served.", ["user"], registry=CollectorRegistry())


def acquire(step, size):
    user = f"{step:09}" + "." * size
    requests.labels(user).inc()
    return user


def release(user):
    requests.remove(user)


scenario = pair(
    acquire,
    release,
    leaks="heap",
    natural=840,
    workloads=[{"rate": 64.0}, {"rate": 2500.0, "noise": 3000}, {"rate": 900.0, "pattern": "17th"}],
)
