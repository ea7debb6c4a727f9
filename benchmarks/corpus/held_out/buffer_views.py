"""Short views of long buffers: the header is wanted, the whole of the buffer is kept."""

from _work import pair

scenario = pair(
    lambda _, size: memoryview(bytearray(size + 16))[:16],
    leaks="heap",
    natural=450,
    workloads=[
        {"rate": 4000.0},
        {"rate": 300_000.0, "pattern": "late", "noise": 500_000},
        {"rate": 50_000.0, "pattern": "stairs", "beside": 3.0},
    ],
)
