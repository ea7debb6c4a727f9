"""Buffers handed to a C library and kept for it."""

import ctypes

from _beside import beside

buffers = []


def leak(step, size):
    buffers.append(ctypes.create_string_buffer(max(1, size)))  # leak


scenario = beside(leak, natural=250)
