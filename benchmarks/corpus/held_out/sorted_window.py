"""The last numbers, kept in order, so that the middle one can be read off."""

import bisect
from collections import deque

from _work import benign

arrived, ordered = deque(), []


def step(_number, run):
    for _ in range(run.params.each):
        value = run.rng.gauss(0, 1)
        arrived.append(value)
        bisect.insort(ordered, value)
    while len(arrived) > run.params.width:
        del ordered[bisect.bisect_left(ordered, arrived.popleft())]


scenario = benign(
    step,
    each=4,
    width=300,
    workloads=[{"width": 300}, {"width": 700}, {"each": 15, "width": 1000}],
)
