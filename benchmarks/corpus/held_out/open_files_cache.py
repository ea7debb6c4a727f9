"""Files that stay open until there are too many: then the least recently used is closed."""

from collections import OrderedDict

from _work import benign

files = OrderedDict()


def step(_number, run):
    for _ in range(run.params.reads):
        name = int(run.rng.paretovariate(0.6)) % 1000
        if name not in files:
            files[name] = open(run.workdir / f"{name}.log", "a+b")  # noqa: SIM115
        files.move_to_end(name)
        files[name].write(b"x")
        while len(files) > run.params.size:
            files.popitem(last=False)[1].close()


scenario = benign(
    step, size=30, reads=2, workloads=[{"size": 30, "reads": 2}, {"size": 100, "reads": 6}]
)
