"""A cache whose entries expire after some steps."""

from _work import benign

entries = {}


def step(number, run):
    for index in range(run.rng.randrange(6)):
        entries[number, index] = bytes(run.rng.randrange(500))
    for key in [key for key in entries if number - key[0] > run.params.steps]:
        del entries[key]


scenario = benign(step, steps=50, workloads=[{"steps": 50}, {"steps": 150}])
