"""Corners cropped from images: a slice of an array keeps the array."""

import numpy as np
from _work import pair

scenario = pair(
    lambda step, size: np.full(size + 64, step % 251, dtype=np.uint8)[:64],
    leaks="native",
    natural=400,
    workloads=[
        {"rate": 20_000.0, "pattern": "100th"},
        {"rate": 100_000.0, "noise": 1_000_000, "beside": 0.5},
        {"rate": 2000.0, "pattern": "17th"},
    ],
)
