"""Pipes that are registered with a poll and taken off again, each after a time of chance."""

import functools
import os
import select

from _work import benign

pipes = []


@functools.cache
def poll():
    return select.epoll()


def step(_number, run):
    for _ in range(run.rng.randrange(3)):
        pipes.append(os.pipe())
        poll().register(pipes[-1][0], select.EPOLLIN)
    for pair in [pair for pair in pipes if run.rng.random() < 1 / run.params.life]:
        poll().unregister(pair[0])
        pipes.remove(pair)
        for end in pair:
            os.close(end)
    poll().poll(0)


scenario = benign(step, life=12, workloads=[{"life": 12}, {"life": 25}])


@scenario.gauge("pipes")
def registered(_run):
    """Pipes that are registered."""
    return len(pipes)
