"""Bodies of requests appended to a list that nobody empties."""

from _work import pair

scenario = pair(
    lambda _, size: bytes(size + 2),  # shorter ones are the interpreter's own
    leaks="heap",
    natural=64,
    workloads=[
        {"rate": 16.0},
        {"rate": 100.0, "pattern": "17th"},
        {"rate": 1000.0, "beside": 10.0},
        {"rate": 10_000.0, "pattern": "late"},
        {"rate": 100_000.0, "pattern": "100th"},
        {"rate": 1_000_000.0},
    ],
)
