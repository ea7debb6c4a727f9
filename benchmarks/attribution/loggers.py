"""A logger for each request: the logging module keeps them all."""

import logging

from _beside import beside


def leak(step, size):
    logging.getLogger(f"request-{step}-{'x' * size}")  # leak


scenario = beside(leak, natural=450)
