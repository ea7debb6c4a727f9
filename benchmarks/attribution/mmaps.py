"""Anonymous memory maps that are never closed."""

import mmap

from _beside import beside

maps = []


def leak(step, size):
    maps.append(mmap.mmap(-1, max(1, size)))  # leak


scenario = beside(leak, natural=4096)
