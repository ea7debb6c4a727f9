"""Native memory that is asked for and not given back."""

import ctypes

from _work import chunk, pair

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

scenario = pair(
    lambda _, size: libc.malloc(size + 16),
    libc.free,
    leaks="native",
    natural=32,
    # Beside the smallest, the list that keeps them counts as well: their rate is not known.
    units=lambda size: {"native": chunk(size + 16)} if size else {},
    workloads=[
        {"rate": 16.0},
        {"rate": 100.0, "pattern": "17th"},
        {"rate": 1000.0, "beside": 10.0},
        {"rate": 10_000.0, "pattern": "100th"},
        {"rate": 100_000.0, "noise": 1_000_000},
    ],
)
