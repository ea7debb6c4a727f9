"""Names of sessions, remembered in a set, so that none is greeted twice."""

from _work import pair

seen = set()


def acquire(step, size):
    name = f"session {step}-{len(seen)} {'x' * size}"
    seen.add(name)
    return name


scenario = pair(
    acquire,
    seen.remove,
    leaks="heap",
    natural=155,
    workloads=[{"rate": 800.0}, {"rate": 6000.0, "pattern": "17th", "beside": 1.0}],
)
