"""Measurements, the last of them in full and the older ones as means, for a while."""

from collections import deque

from _work import benign

recent, means = deque(), deque()


def step(number, run):
    every = run.params.every
    recent.append([run.rng.random() for _ in range(run.rng.randrange(1, run.params.values))])
    if number % every == every - 1:
        batch = [recent.popleft() for _ in range(min(every, len(recent)))]
        means.append([sum(values) / len(values) for values in batch])
        while len(means) > run.params.kept:
            means.popleft()


scenario = benign(
    step,
    every=10,
    values=40,
    kept=12,
    workloads=[{}, {"every": 24, "values": 300, "kept": 6}, {"every": 5, "kept": 25}],
)
