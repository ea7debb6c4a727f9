"""A cache that is full from the beginning, and whose entries come and go."""

from _work import benign

cache = {}


def step(number, run):
    rng, size = run.rng, run.params.size
    for key in range(size if number == 0 else 0):
        cache[key] = bytes(rng.randrange(2 * run.params.mean))
    for _ in range(size // 20):
        cache[rng.randrange(size)] = bytes(int(rng.lognormvariate(0, 0.7) * run.params.mean))


scenario = benign(
    step,
    size=200,
    mean=300,
    workloads=[{"mean": 300}, {"mean": 5000}, {"size": 2000, "mean": 100}, {"mean": 50_000}],
)
