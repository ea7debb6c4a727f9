"""A pool that makes a buffer when none is free, and keeps them while its users become more."""

from _work import benign

free = []


def step(number, run):
    users = min(run.params.clients, 2 + number // 4)
    demand = min(users, run.rng.randint(0, 2 * users))
    taken = [free.pop() if free else bytearray(run.params.size) for _ in range(demand)]
    free.extend(taken)


scenario = benign(
    step, clients=12, size=4000, workloads=[{"clients": 12}, {"clients": 35, "size": 60_000}]
)
