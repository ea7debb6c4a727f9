"""A buffer that is written to and never drained: it grows by leaps."""

from _beside import beside

buffer = bytearray()


def leak(step, size):
    buffer.extend(bytes(size))  # leak


scenario = beside(leak, natural=0)
