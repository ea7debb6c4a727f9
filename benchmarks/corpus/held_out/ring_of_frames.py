"""A ring of the last frames: it fills once, and then each frame takes the place of an older one."""

from _work import benign

ring = {}


def step(number, run):
    ring[number % run.params.slots] = bytearray(int(run.params.mean * run.rng.uniform(0.9, 1.1)))


scenario = benign(
    step,
    slots=60,
    mean=2000,
    workloads=[{"slots": 60}, {"slots": 130, "mean": 20_000}, {"slots": 170, "mean": 4000}],
)
