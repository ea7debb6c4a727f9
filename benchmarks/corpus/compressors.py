"""Compressors that are never finished: their state is native memory."""

import zlib

from _work import pair

scenario = pair(
    lambda _, size: (zlib.compressobj(1, zlib.DEFLATED, 9, 1), bytes(size)),
    leaks="native",
    natural=14_000,
    workloads=[
        {"rate": 14_000.0},
        {"rate": 1000.0, "pattern": "17th"},
        {"rate": 20_000.0, "pattern": "stairs"},
    ],
)
