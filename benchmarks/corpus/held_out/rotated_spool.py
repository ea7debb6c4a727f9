"""A spool that begins a new file now and then, and keeps the last few open."""

import os
from collections import deque

from _work import benign

BODY = memoryview(bytes(4000))
files = deque()


def step(number, run):
    if number % run.params.every == 0:
        files.append(open(run.workdir / f"{number}.spool", "wb"))  # noqa: SIM115
    files[-1].write(BODY[: run.rng.randrange(4000)])
    if len(files) > run.params.keep:
        oldest = files.popleft()
        oldest.close()
        os.remove(oldest.name)


scenario = benign(
    step,
    every=50,
    keep=1,
    workloads=[{"every": 50, "keep": 1}, {"every": 13, "keep": 6}, {"every": 40, "keep": 3}],
)


@scenario.gauge("B")
def spooled(_run):
    """Bytes in the newest file."""
    return files[-1].tell() if files else 0
