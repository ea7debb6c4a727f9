"""Memory that C code takes, looked up by name at run time, and is never told to free."""

import ctypes

from _beside import beside

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p


def leak(step, size):
    libc.malloc(ctypes.c_size_t(size))  # leak


scenario = beside(leak, natural=0)
