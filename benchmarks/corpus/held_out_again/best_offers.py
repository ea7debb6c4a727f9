"""The best offers of the last steps, in the order of their prices."""

from collections import deque

from _work import benign
from sortedcontainers import SortedKeyList

offers, arrived = SortedKeyList(key=lambda offer: offer[0]), deque()


def step(_, run):
    for _ in range(run.params.offers):
        offer = (run.rng.random(), bytes(run.rng.randrange(2 * run.params.mean)))
        offers.add(offer)
        arrived.append(offer)
    while len(arrived) > run.params.most:
        offers.remove(arrived.popleft())


scenario = benign(
    step,
    offers=3,
    most=120,
    mean=200,
    workloads=[{}, {"offers": 10, "most": 80, "mean": 8000}, {"offers": 2, "most": 300}],
)
