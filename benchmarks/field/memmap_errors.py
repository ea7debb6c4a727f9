"""Stored exceptions pin the frames that hold memory-mapped arrays.

Source: KempnerForge#55
Environment: current
Packages: numpy
Kind: leaky
Rates: fds 2, maps 2, objects 20
Truth: counted from step 3,362 to 6,565; also per step: malloc 75 B, anonymous 3,918 B
"""

import tempfile
from pathlib import Path

import numpy as np

FOLDER = tempfile.TemporaryDirectory()
problems = []


def setup():
    for number in range(2):
        Path(FOLDER.name, f"shard{number}").write_bytes(bytes(65_536))


def shards(count):
    found = []
    for number in range(count):
        found.append(np.memmap(Path(FOLDER.name, f"shard{number}"), dtype="u1", mode="r"))
    return found


def step(i):
    try:
        shards(3)
    except FileNotFoundError as error:
        problems.append(error)
