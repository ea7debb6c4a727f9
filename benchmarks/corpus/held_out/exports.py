"""Exports written into buffers in memory that stay in a list of downloads."""

import io

from _work import pair


def acquire(step, size):
    export = io.BytesIO()
    export.write(step.to_bytes(8, "big"))
    export.write(bytes(size))
    return export


scenario = pair(
    acquire,
    lambda export: export.close(),
    leaks="heap",
    natural=165,
    workloads=[
        {"rate": 30_000.0, "pattern": "stairs", "noise": 100_000},
        {"rate": 700.0},
        {"rate": 5000.0, "pattern": "late", "beside": 2.0},
    ],
)
