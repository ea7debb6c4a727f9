"""Sessions that live for as long as each of them was told to, and are then dropped."""

import heapq
import itertools

from _work import benign

sessions, ends, numbers = {}, [], itertools.count()


def step(number, run):
    rng = run.rng
    for _ in range(rng.randrange(2 * run.params.arrivals)):
        name = next(numbers)
        sessions[name] = bytearray(100 * rng.randint(1, run.params.most))
        heapq.heappush(ends, (number + min(1 + int(rng.expovariate(1 / 15)), 60), name))
    while ends and ends[0][0] <= number:
        del sessions[heapq.heappop(ends)[1]]


scenario = benign(
    step,
    arrivals=4,
    most=8,
    workloads=[{"arrivals": 4}, {"arrivals": 12, "most": 3}, {"most": 400}],
)
