"""A pool of descriptors that swings with the load, and loses one every 17 steps."""

import os

from _work import pair

pool, chance = [], []


def acquire(step, _size):
    wanted = chance[0].randrange(25)
    while len(pool) < wanted:
        pool.append(os.open(os.devnull, os.O_RDONLY))
    while len(pool) > wanted:
        os.close(pool.pop())
    return os.open(os.devnull, os.O_RDONLY) if step % 17 == 0 else None


scenario = pair(
    acquire,
    lambda lost: lost is None or os.close(lost),
    leaks="fds",
    units=lambda _: {"fds": 1 / 17},
    workloads=[{}, {"noise": 100_000}],
)
before = scenario.setup_function


@scenario.setup
def world(run):
    chance[:] = [run.rng]
    yield from before(run)
