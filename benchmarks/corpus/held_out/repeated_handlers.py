"""A log that is set up again with each job: one more handler every time."""

import io
import logging

from _work import pair

logger = logging.getLogger("jobs")


def acquire(step, size):
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(logging.Formatter(f"job {step} %(message)s{'x' * size}"))
    logger.addHandler(handler)
    return handler


def release(handler):
    logger.removeHandler(handler)
    handler.close()


scenario = pair(
    acquire,
    release,
    leaks="objects",
    natural=1200,
    workloads=[{"rate": 1200.0, "beside": 1.0}, {"rate": 200.0}],
)
