"""Leases that come and go, of which one in ten steps is not taken back."""

from _work import pair

held, lost, chance = [0], [0], []


def acquire(step, _size):
    held[0] = chance[0].randrange(16)
    lost[0] += step % 10 == 0
    return step % 10 == 0


def release(taken):
    lost[0] -= taken


scenario = pair(
    acquire,
    release,
    leaks="granted",
    units=lambda _: {"granted": 0.1},
    workloads=[{}, {"noise": 20_000}],
)
before = scenario.setup_function


@scenario.setup
def world(run):
    chance[:] = [run.rng]
    yield from before(run)


@scenario.gauge("leases")
def granted(_world):
    """Leases that are granted."""
    return held[0] + lost[0]
