"""Requests, each with a descriptor, that are answered one step later or when there is time."""

import os
from collections import deque

from _work import benign

waiting = deque()


def step(number, run):
    for _ in range(min(len(waiting), 5)):
        os.close(waiting.popleft())
    coming = run.rng.randrange(8) + 2 * (number < run.params.rush)
    waiting.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(coming))


scenario = benign(step, rush=0, workloads=[{"rush": 0}, {"rush": 90}])


@scenario.gauge("requests")
def unanswered(_run):
    """Requests that wait."""
    return len(waiting)
