"""A cache whose entries live for so many steps, written under keys at random."""

from _work import benign
from cachetools import TTLCache

now = [0]
sessions = {}


def step(number, run):
    now[0], rng = float(number), run.rng
    if not sessions:
        sessions[0] = TTLCache(100_000, run.params.ttl, timer=lambda: now[0])
    for _ in range(rng.randrange(2 * run.params.writes)):
        sessions[0][rng.randrange(10**9)] = bytes(rng.randrange(2 * run.params.mean))
    sessions[0].expire()


scenario = benign(
    step,
    ttl=30,
    writes=4,
    mean=500,
    workloads=[{"ttl": 30}, {"ttl": 45, "mean": 3000}, {"ttl": 12, "writes": 30, "mean": 60}],
)
