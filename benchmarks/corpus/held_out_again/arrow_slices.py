"""One value of each column that arrives is kept, and with it the column's buffer."""

import pyarrow as pa
from _work import pair


def acquire(_, size):
    buffer = pa.py_buffer(bytes(size + 16))
    column = pa.Array.from_buffers(pa.int64(), (size + 16) // 8, [None, buffer])
    return column.slice(0, 1)


scenario = pair(
    acquire,
    leaks="heap",
    natural=820,
    workloads=[
        {"rate": 32.0},
        {"rate": 4000.0, "pattern": "stairs"},
        {"rate": 250_000.0, "noise": 200_000},
    ],
)
