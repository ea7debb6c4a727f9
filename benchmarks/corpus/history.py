"""A history of small tuples, each of them three numbers long."""

import time

from _work import pair

scenario = pair(
    lambda step, _: (float(step), time.monotonic(), step + 1_000_000),
    leaks="blocks",
    natural=200,
    workloads=[{"rate": 16.0}, {"rate": 200.0}],
)
