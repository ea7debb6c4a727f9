"""The last row of each frame is kept, and with it the whole frame."""

import numpy as np
import pandas as pd
from _work import pair


def acquire(_, size):
    frame = pd.DataFrame({"price": np.zeros(size // 8 + 1)})
    return frame.iloc[-1:]


scenario = pair(
    acquire,
    leaks="heap",
    natural=4500,
    workloads=[
        {"rate": 4500.0, "pattern": "17th"},
        {"rate": 60_000.0, "pattern": "100th", "noise": 50_000},
        {"rate": 200_000.0},
    ],
)
