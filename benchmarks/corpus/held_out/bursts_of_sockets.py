"""Sockets that are opened many at a time, now and then, and closed together some steps later."""

import socket
from collections import deque

from _work import benign

bursts = deque()


def step(number, run):
    if run.rng.random() < 0.08:
        size = run.rng.randrange(5, 15)
        bursts.append((number, [one for _ in range(size) for one in socket.socketpair()]))
    while bursts and number - bursts[0][0] >= run.params.after:
        for one in bursts.popleft()[1]:
            one.close()


scenario = benign(step, after=0, workloads=[{"after": 0}, {"after": 10}, {"after": 30}])
