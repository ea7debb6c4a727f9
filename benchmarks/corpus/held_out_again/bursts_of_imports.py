"""Every so many steps a large import, which is worked off piece by piece until the next one."""

from _work import benign

waiting = []


def step(number, run):
    if number % run.params.every == run.params.every - 1:
        pieces = int(run.params.pieces * run.rng.uniform(0.5, 1.5))
        waiting.extend(bytes(run.rng.randrange(2 * run.params.mean)) for _ in range(pieces))
    done = -(-3 * run.params.pieces // run.params.every)
    del waiting[:done]


scenario = benign(
    step,
    every=30,
    pieces=200,
    mean=500,
    workloads=[{}, {"every": 50, "pieces": 600, "mean": 50}, {"every": 7, "mean": 5000}],
)
