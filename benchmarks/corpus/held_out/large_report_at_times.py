"""Small answers, and every so often a report that needs a hundred times as much."""

from _work import benign


def step(number, run):
    count = run.params.large if number % run.params.every == 0 else 10
    rows = [(number, run.rng.random(), str(row)) for row in range(count)]
    return len(sorted(rows))


scenario = benign(
    step,
    every=37,
    large=1000,
    workloads=[{"every": 37}, {"every": 60, "large": 2500}],
)
