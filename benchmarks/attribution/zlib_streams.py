"""Compressors that are never finished: their state is native memory."""

import zlib

from _beside import beside

streams = []


def leak(step, size):
    streams.append((zlib.compressobj(1, zlib.DEFLATED, 9, 1), bytes(size)))  # leak


scenario = beside(leak, natural=14_000)
