"""Each job adds its own file to the logger and removes none.

Source: Delgan/loguru#240, Delgan/loguru#848
Environment: current
Packages: loguru
Kind: leaky
Rates: fds 1, objects 22
Truth: counted from step 291 to 569; also per step: malloc 4,359 B, anonymous 13,968 B
"""

import tempfile
from pathlib import Path

from loguru import logger

FOLDER = tempfile.TemporaryDirectory()
logger.remove()


def step(i):
    logger.add(Path(FOLDER.name, f"job{i}.log"), level="ERROR")
    logger.debug("job {} has begun", i)
