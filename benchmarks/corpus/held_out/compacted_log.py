"""A table kept as a log of changes, rewritten when most of the log is out of date."""

from _work import benign

log = []


def step(_number, run):
    for _ in range(6):
        log.append((run.rng.randrange(run.params.keys), bytes(run.rng.randrange(1200, 4000))))
    if len(log) > 3 * run.params.keys:
        log[:] = dict(log).items()


scenario = benign(step, keys=50, workloads=[{"keys": 50}, {"keys": 90}])
