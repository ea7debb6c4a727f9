"""Commands that are started now and then, run beside the work, and are waited for."""

import subprocess

from _work import benign

running = []


def step(number, run):
    if run.rng.random() < run.params.chance:
        child = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        running.append((number + run.rng.randint(1, run.params.life), child))
    for entry in [entry for entry in running if entry[0] <= number]:
        running.remove(entry)
        entry[1].communicate(b"done")


def close(_run):
    while running:
        running.pop()[1].communicate(b"done")


scenario = benign(
    step, close=close, chance=0.3, life=10, workloads=[{}, {"chance": 0.1, "life": 40}]
)
