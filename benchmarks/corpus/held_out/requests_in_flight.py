"""Requests of all sizes, most of them small, each answered some steps after it came."""

from _work import benign

waiting = []


def step(_number, run):
    for _ in range(run.params.arrivals):
        waiting.append(bytes(min(int(run.rng.lognormvariate(8.5, 0.8)), 60_000)))
    waiting[:] = [one for one in waiting if run.rng.random() > 1 / run.params.stay]


scenario = benign(
    step,
    arrivals=3,
    stay=6,
    workloads=[{"arrivals": 3}, {"arrivals": 10, "stay": 8}, {"arrivals": 1, "stay": 3}],
)
