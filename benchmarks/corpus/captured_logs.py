"""Log records that a handler holds until it has enough of them to write."""

import logging
import logging.handlers
import os

from _work import benign

to_file = logging.FileHandler(os.devnull)
logger = logging.getLogger("service")
logger.propagate = False
logger.setLevel(logging.INFO)


def step(number, run):
    if not logger.handlers:
        logger.addHandler(logging.handlers.MemoryHandler(run.params.size, target=to_file))
    for _ in range(3):
        logger.info("request %d took %.3f s", number, run.rng.random())


scenario = benign(step, size=100, workloads=[{"size": 100}, {"size": 400}])
