"""A metric with a label that never repeats: one more text for each request."""

from _work import pair

series = {}


def acquire(step, size):
    name = f"requests_total{{path=/users/{step}/{len(series)}{'x' * size}}}"
    series[name] = series.get(name, 0) + 1
    return name


scenario = pair(
    acquire,
    series.pop,
    leaks="heap",
    natural=220,
    workloads=[{"rate": 220.0}, {"rate": 100.0, "pattern": "stairs"}],
)
