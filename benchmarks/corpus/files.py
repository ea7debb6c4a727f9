"""Files that are opened and not closed."""

import os

from _work import pair

scenario = pair(
    lambda *_: os.open(os.devnull, os.O_RDONLY),
    os.close,
    leaks="fds",
    units=lambda _: {"fds": 1},
    workloads=[
        {},
        {"pattern": "17th"},
        {"pattern": "100th"},
        {"pattern": "late"},
        {"pattern": "stairs"},
        {"noise": 100_000},
    ],
)
