"""The first row of each matrix is kept, a view of all of it."""

import numpy as np
from _work import pair

scenario = pair(
    lambda _, size: np.zeros((size // 64 + 1, 8))[0],
    leaks="heap",
    natural=320,
    workloads=[
        {"rate": 2000.0, "pattern": "late", "noise": 4000},
        {"rate": 150_000.0, "pattern": "100th"},
        {"rate": 700_000.0},
    ],
)
