"""A handler per test is added, removed and closed.

Source: python/cpython#129268
Environment: plain
Kind: clean
Truth: no count grows from step 6,565 to 12,000
"""

import logging
import tempfile

log = logging.getLogger("field.tests")
log.propagate = False


def step(i):
    with tempfile.NamedTemporaryFile("w", suffix=".log") as stream:
        handler = logging.StreamHandler(stream)
        log.addHandler(handler)
        log.error("test %d", i)
        log.removeHandler(handler)
        handler.close()
