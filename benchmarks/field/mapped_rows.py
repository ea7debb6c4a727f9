"""Rows of a mapped file are read: its pages become resident, and can be dropped at any time.

Source: numpy/numpy#21292
Environment: current
Packages: numpy
Kind: clean
Truth: no count grows from step 6,565 to 12,000
"""

import tempfile
from pathlib import Path

import numpy as np

FOLDER = tempfile.TemporaryDirectory()
ROWS, WIDTH = 2_000, 8_192


def setup():
    file = Path(FOLDER.name, "samples.npy")
    np.save(file, np.ones((ROWS, WIDTH), dtype="f4"))
    return np.load(file, mmap_mode="r")


def step(i, samples):
    return float(samples[i % ROWS].mean(dtype="f8"))
