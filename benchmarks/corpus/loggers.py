"""A logger of its own for each request: `logging` keeps every one."""

import logging

from _work import pair


def acquire(step, size):
    return logging.getLogger(f"request-{step}-{'x' * size}").name


scenario = pair(
    acquire,
    logging.Logger.manager.loggerDict.pop,
    leaks="objects",
    natural=1600,
    workloads=[{"rate": 1600.0}],
)
