"""A handler added with each request, to one logger."""

import io
import logging

from _beside import beside

logger = logging.getLogger("app")


def leak(step, size):
    logger.addHandler(logging.StreamHandler(io.StringIO("x" * size)))  # leak


scenario = beside(leak, natural=1500)
