"""A binding allocates a buffer per call and never frees it.

Source: ultrajson/ultrajson#549 (its kind: a buffer of C that an error path forgets)
Environment: plain
Kind: leaky
Rates: malloc 416
Truth: counted from step 6,565 to 12,000; also per step: anonymous 443 B
"""

import ctypes

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]


def step(i):
    libc.memset(libc.malloc(400), i % 256, 400)
