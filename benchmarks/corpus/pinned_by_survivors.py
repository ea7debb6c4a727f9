"""A bounded table whose entries are renewed among short-lived blocks, and pin their pages."""

from _work import benign

table = {}


def step(number, run):
    passing = [bytes(run.rng.randrange(600, 3000)) for _ in range(200)]
    for _ in range(3):
        table[run.rng.randrange(300)] = bytes(run.rng.randrange(600, 3000))
    return len(passing)


scenario = benign(step)
