"""Each analysis attaches its own file handler to a logger, and none is closed.

Source: malariagen/malariagen-data-python#949
Environment: plain
Kind: leaky
Rates: fds 1, objects 9
Truth: counted from step 6,565 to 12,000; also per step: malloc 4,229 B, anonymous 6,161 B
"""

import logging
import tempfile
from pathlib import Path

FOLDER = tempfile.TemporaryDirectory()


def configured(name):
    log = logging.getLogger(name)
    log.setLevel(logging.INFO)
    log.addHandler(logging.FileHandler(Path(FOLDER.name, "analysis.log"), delay=False))
    return log


def step(i):
    log = configured("field.analysis")
    return len(log.handlers)
