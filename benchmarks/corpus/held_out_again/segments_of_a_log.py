"""A log in segments of so many bytes, the last few of which stay open for readers."""

import collections

from _work import benign

segments = collections.deque()


def step(number, run):
    if not segments or segments[-1].tell() > run.params.size:
        path = run.workdir / f"{number}.log"
        segments.append(path.open("w+b", buffering=0))
        path.unlink()
    while len(segments) > run.params.kept:
        segments.popleft().close()
    segments[-1].write(bytes(run.rng.randint(100, 2000)))
    run.rng.choice(segments).fileno()


scenario = benign(step, size=5000, kept=6, workloads=[{}, {"size": 2000, "kept": 25}])
