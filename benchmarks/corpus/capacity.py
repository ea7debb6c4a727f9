"""A list that now and then holds more than ever before, and keeps the room."""

from _work import benign

buffer, table = [], {}


def step(_number, run):
    size = int(run.rng.paretovariate(1.2) * 50) % 20_000
    buffer[:] = range(size)
    buffer.clear()
    for key in range(size if run.params.table else 0):
        table[key] = None
    table.clear()


scenario = benign(step, table=0, workloads=[{"table": 0}, {"table": 1}])
